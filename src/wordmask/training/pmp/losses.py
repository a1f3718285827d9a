"""Losses of mask proposals: masks of matched proposals, the whole mask of the prompt's query, and expected IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F

from wordmask.settings import Choices, Ranges, Settings
from wordmask.training.pmp.matching import Matches, match, matching_costs
from wordmask.training.pmp.targets import ProposalTargets, sample_points

if TYPE_CHECKING:
    from torch import Tensor

    from wordmask.methods.pmp.embedded.features import ProposalFeatures
    from wordmask.methods.pmp.embedded.network import MaskHeads, ProposalNetwork, QueryState

__all__ = ["ProposalLosses", "proposal_losses"]

CENTRE_WEIGHTS = {"offset": 1.0, "size": 0.5, "heat": 1.0, "mask": 1.5}
"""Weights of the losses of centres among themselves."""
GRID = 64
"""IoU is computed on a grid of this many cells a side."""


@dataclass(frozen=True, kw_only=True)
class ProposalLosses(Settings):
    """Weights of the losses.

    Attributes:
        bce: Cross-entropy of matched masks at points.
        dice: Dice loss of matched masks at points.
        quality: Cross-entropy of the expected IoU.
        points: Points at which masks are compared.
        centre: Weight of the losses of the maps that divide masks into instances.
    """

    bce: float = 5.0
    dice: float = 5.0
    quality: float = 2.0
    points: int = 1024
    centre: float = 1.0

    ranges: ClassVar[Ranges] = {
        "points": (16, 10**6),
        **dict.fromkeys(("bce", "dice", "quality", "centre"), (0, 10**4)),
    }
    choices: ClassVar[Choices] = {}

    def of_centres(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted losses of `centre_losses.centre_losses`."""
        return {f"centre_{name}": self.centre * CENTRE_WEIGHTS[name] * loss for name, loss in losses.items()}


def proposal_losses(
    network: ProposalNetwork,
    features: ProposalFeatures,
    state: QueryState,
    targets: ProposalTargets,
    *,
    dense: Tensor | None = None,
    weights: ProposalLosses | None = None,
    generator: torch.Generator | None = None,
) -> tuple[dict[str, Tensor], Matches]:
    """Return weighted losses by name, and the matches. Rows with boxes alone count for nothing.

    Args:
        network: Made `state` of `features`.
        features: Of B images.
        state: Of K prompts for each, or of none (K = 1).
        targets: Of the B * K rows.
        dense: Dense logits `(B, K, h, w)` that the prompts were decoded with.
        weights: Of the losses.
        generator: Of the points.
    """
    weights = weights or ProposalLosses()
    own = network.prompt is not None and state.queries.shape[2] > network.config.queries
    points, cells = sample_points(targets, weights.points, generator)
    logits = _logits_at(network, features, state.heads, points, dense)  # (O, R, N, P)
    whole, instances, known = targets.at(cells)
    learned = logits[:, :, :-1] if own else logits
    with torch.no_grad():
        costs = matching_costs(learned.detach(), instances, known)
    matches = match(costs, targets.counts.masked_fill(targets.boxed, 0).tolist())
    picked = logits[matches.outputs, matches.rows, matches.queries]
    wanted = instances[matches.rows, matches.targets]
    seen = known[matches.rows]
    if own:
        rows = targets.has_whole.nonzero()[:, 0]
        outputs = len(logits)
        picked = torch.cat([picked, logits[:, rows, -1].flatten(0, 1)])
        wanted = torch.cat([wanted, whole[rows].repeat(outputs, 1)])
        seen = torch.cat([seen, known[rows].repeat(outputs, 1)])
    number = max(len(picked), 1)
    losses = {
        "bce": weights.bce * _cross_entropy(picked, wanted, seen).sum() / number,
        "dice": weights.dice * _dice(picked, wanted, seen).sum() / number,
    }
    losses["quality"] = weights.quality * _quality(network, features, state, targets, matches, dense, own)
    return losses, matches


def _logits_at(
    network: ProposalNetwork, features: ProposalFeatures, heads: list[MaskHeads], points: Tensor, dense: Tensor | None
) -> Tensor:
    """Logits `(O, R, N, P)` at points `(R, P, 2)` of their own for each row."""
    b, k = heads[0].quality.shape[:2]
    at = points.view(b, -1, 2)  # (B, K * P, 2): all points of an image together
    maps = network.mask_features.at(features, at).view(b * k, points.shape[1], -1).transpose(1, 2)  # (R, D, P)
    start = None
    if dense is not None:
        grid = (2 * points - 1).unsqueeze(2)
        start = F.grid_sample(
            dense.flatten(0, 1).unsqueeze(1).float(), grid, padding_mode="border", align_corners=False
        )[..., 0]  # (R, 1, P)
    rows = [type(h)(*(part.flatten(0, 1).unsqueeze(1) for part in h)) for h in heads]
    return torch.stack([h.logits(maps, start).squeeze(1) for h in rows]).float()


def _cross_entropy(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Mean over the known points `(M,)`."""
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * known).sum(-1) / known.sum(-1).clamp(min=1)


def _dice(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Dice losses `(M,)`."""
    probability, targets = logits.sigmoid() * known, targets * known
    return 1 - (2 * (probability * targets).sum(-1) + 1) / (probability.sum(-1) + targets.sum(-1) + 1)


def _quality(
    network: ProposalNetwork, features: ProposalFeatures, state: QueryState, targets: ProposalTargets,
    matches: Matches, dense: Tensor | None, own: bool,
) -> Tensor:  # fmt: skip
    """Cross-entropy of expected and true IoU after the last layer; proposals without a target have the IoU 0."""
    last = state.heads[-1]
    with torch.no_grad():
        maps = network.mask_features.grid(features)
        masks = (last.logits(maps.flatten(2), None if dense is None else dense.flatten(2)) > 0).flatten(0, 1).float()
        whole, instances = targets.pooled(maps.shape[-1])
        wanted = torch.zeros(masks.shape[:2], device=masks.device)
        final = matches.outputs == len(state.heads) - 1
        rows, queries, index = matches.rows[final], matches.queries[final], matches.targets[final]
        wanted[rows, queries] = _ious(masks[rows, queries], instances[rows, index])
        judged = targets.complete & (targets.counts >= 0) & ~targets.boxed
        weight = judged.float().unsqueeze(1).repeat(1, masks.shape[1])
        weight[rows, queries] = 1
        if own:
            wanted[:, -1] = _ious(masks[:, -1], whole)
            weight[:, -1] = targets.has_whole.float()
    each = F.binary_cross_entropy_with_logits(last.quality.flatten(0, 1).float(), wanted, reduction="none")
    loss = (each * weight).sum() / weight.sum().clamp(min=1)
    if dense is None or not own:
        return loss
    ious = _ious((dense.flatten(0, 1).flatten(1) > 0).float(), whole)
    other = F.binary_cross_entropy_with_logits(last.dense_quality.flatten().float(), ious, reduction="none")
    return loss + 0.2 * (other * targets.has_whole).sum() / targets.has_whole.sum().clamp(min=1)


def _ious(masks: Tensor, others: Tensor) -> Tensor:
    """IoU `(M,)` of pairs of float masks `(M, cells)`; 0 of two empty ones."""
    both = (masks * others).sum(-1)
    return both / (masks.sum(-1) + others.sum(-1) - both).clamp(min=1)
