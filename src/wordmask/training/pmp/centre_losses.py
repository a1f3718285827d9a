"""Losses of the maps that divide a mask into instances: offsets and sizes, the heat map of centres, the whole mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from wordmask.training.pmp.targets import UNKNOWN_INSTANCES, boxes_of

if TYPE_CHECKING:
    from torch import Tensor

    from wordmask.methods.pmp.embedded.centres import CentreMaps
    from wordmask.training.pmp.targets import ProposalTargets

__all__ = ["CentreTargets", "centre_losses", "centre_targets"]

SPREAD = 0.12
"""Standard deviation of a centre in the heat map, as a fraction of the instance's sides."""
LEAST_SPREAD = 0.7
"""The same in cells, at least."""
FAINT = -0.5
"""Dense logit above which a cell inside a box is taken to belong to what the box encloses."""
INSIDE = 0.1
"""Weight of the mask's cells inside boxes, where it is a guess; outside all of them, where it is known, it is 1."""
TOLERANCE = 0.15
"""Offsets are compared in units of this fraction of the instance's sides, plus half a cell."""


class CentreTargets(NamedTuple):
    """Targets of R rows; a row is a prompt for an image.

    Attributes:
        boxes: float `(R, T, 4)`, XYXY in cells of stride 4, padded with zeros.
        counts: int64 `(R,)`, number of instances; -1 where they are not known.
        owners: int64 `(R, h, w)`, instance of the cell; -1 where there is none, or where it is not known.
        mask: float `(R, h, w)`, fraction of the cell that the whole mask covers.
        weight: float `(R, h, w)`, 0 where it is not known.
    """

    boxes: Tensor
    counts: Tensor
    owners: Tensor
    mask: Tensor
    weight: Tensor


def centre_losses(maps: CentreMaps, targets: CentreTargets) -> dict[str, Tensor]:
    """Return the losses by name: "offset", "size", "heat", "mask".

    Args:
        maps: Of B images with K prompts.
        targets: Of the B * K rows.
    """
    offsets, sizes, heat, mask = (part.flatten(0, 1).float() for part in maps)
    box = targets.boxes.gather(1, targets.owners.clamp(min=0).flatten(1).unsqueeze(2).expand(-1, -1, 4))  # (R, hw, 4)
    owned = (targets.owners >= 0).flatten(1)
    extent = (box[..., 2:] - box[..., :2]).clamp(min=0.5)
    cells = _cells(targets.owners).flatten(0, 1).unsqueeze(0)  # (1, hw, 2)
    wanted = (box[..., :2] + box[..., 2:]) / 2 - cells
    weight = _share(targets) * owned
    scale = 1 / (TOLERANCE * extent + 0.5)
    offset = F.smooth_l1_loss(offsets.flatten(2).transpose(1, 2) * scale, wanted * scale, reduction="none").sum(-1)
    size = F.smooth_l1_loss(sizes.flatten(2).transpose(1, 2), extent.log(), reduction="none").sum(-1)
    number = weight.sum().clamp(min=1)
    return {
        "offset": (offset * weight).sum() / number,
        "size": (size * weight).sum() / number,
        "heat": _heat(heat, targets),
        "mask": _mask(mask, targets),
    }


def _cells(like: Tensor) -> Tensor:
    """Middles of the cells `(h, w, 2)`, x and y."""
    y, x = (torch.arange(n, device=like.device) + 0.5 for n in like.shape[-2:])
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)


def _share(targets: CentreTargets) -> Tensor:
    """Weight `(R, hw)` of each cell: instances count alike, by the square root of their area."""
    owners = targets.owners.flatten(1)
    areas = torch.zeros_like(targets.boxes[..., 0])
    areas.scatter_add_(1, owners.clamp(min=0), (owners >= 0).to(areas))
    return areas.clamp(min=1).rsqrt().gather(1, owners.clamp(min=0))


def _heat(heat: Tensor, targets: CentreTargets) -> Tensor:
    """Focal loss of CornerNet (Law and Deng, arXiv 1808.01244, equation 1), over rows whose instances are known."""
    cells = _cells(targets.owners)
    centre, extent = (
        (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2,
        targets.boxes[..., 2:] - targets.boxes[..., :2],
    )
    sigma = (SPREAD * extent).clamp(min=LEAST_SPREAD)
    there = torch.arange(targets.boxes.shape[1], device=heat.device) < targets.counts.unsqueeze(1)  # (R, T)
    along = [
        (-0.5 * ((cells[0, :, 0] if axis == 0 else cells[:, 0, 1]) - centre[..., axis, None]).square()
         / sigma[..., axis, None].square()).exp() * there.unsqueeze(2)
        for axis in range(2)
    ]  # fmt: skip
    target = (along[1].unsqueeze(3) * along[0].unsqueeze(2)).amax(1)  # (R, h, w)
    peak = torch.zeros_like(target)
    place = centre.floor().long()
    place = place[..., 1].clamp(0, heat.shape[1] - 1) * heat.shape[2] + place[..., 0].clamp(0, heat.shape[2] - 1)
    peak.flatten(1).scatter_reduce_(1, place, there.to(peak), "amax")
    p = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    positive = peak * (1 - p).square() * -p.log()
    negative = (1 - peak) * (1 - target).pow(4) * p.square() * -(1 - p).log()
    known = (targets.counts >= 0).to(p)[:, None, None]
    number = (there.sum(1) * known[:, 0, 0]).sum().clamp(min=1)
    loss: Tensor = ((positive + negative) * known).sum() / number
    return loss


def _mask(mask: Tensor, targets: CentreTargets) -> Tensor:
    """Cross-entropy and Dice over what is known."""
    each = F.binary_cross_entropy_with_logits(mask, targets.mask, reduction="none") * targets.weight
    rows = (targets.weight.flatten(1).sum(1) > 0).to(mask)
    cross = each.flatten(1).sum(1) / targets.weight.flatten(1).sum(1).clamp(min=1)
    p, t, weight = mask.sigmoid(), targets.mask, targets.weight
    dice = 1 - (2 * (p * t * weight).flatten(1).sum(1) + 1) / (((p + t) * weight).flatten(1).sum(1) + 1)
    return ((2 * cross + dice) * rows).sum() / rows.sum().clamp(min=1)


def centre_targets(targets: ProposalTargets, dense: Tensor) -> CentreTargets:
    """Return the targets of rows with masks of `2 h x 2 w` cells of two pixels.

    A cell belongs to the instance that covers most of it, and at least a quarter. Where only boxes are known, it
    belongs to the one whose box alone covers it, if the dense logit says that the phrase may be there; in the overlap
    of boxes its instance is not known.

    Args:
        targets: Of R rows.
        dense: Dense logits `(R, h, w)` of their phrases.
    """
    cover = F.avg_pool2d(targets.instances.float(), 2)  # (R, T, h, w)
    most, owners = cover.max(1)
    size = targets.instances.shape[-1] / 2
    boxes = boxes_of(targets.instances) * size * targets.instances.flatten(2).any(2, keepdim=True)
    counts = torch.where(targets.complete, targets.counts, torch.full_like(targets.counts, UNKNOWN_INSTANCES))
    weight = F.avg_pool2d(targets.known.float(), 2) * targets.has_whole[:, None, None]
    mask = F.avg_pool2d(targets.whole.float(), 2)
    owners = owners.masked_fill(most < 0.25, -1)
    if bool(targets.boxed.any()):
        boxed, inside, likely = targets.boxed[:, None, None], cover >= 0.5, dense > FAINT
        alone, anywhere = inside.sum(1) == 1, inside.any(1)
        owners = torch.where(boxed, inside.float().argmax(1).masked_fill(~(alone & likely), -1), owners)
        mask = torch.where(boxed, (anywhere & likely).float(), mask)
        sure = F.avg_pool2d(targets.known.float(), 2) * torch.where(anywhere, INSIDE, 1.0)
        weight = torch.where(boxed, sure, weight)
    return CentreTargets(boxes, counts, owners, mask, weight)
