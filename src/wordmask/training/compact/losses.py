"""Losses of the compact network beside `wordmask.losses`: boxes, competing names, examples, teachers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = ((0, 2), (2, 0), (2, 2), (2, -2))
"""Offsets (rows, columns) of the pairs of cells that the affinity loss compares."""
ALIKE = 0.3
"""Colour affinity from which two cells are taken to belong together (BoxInst, section 3.3)."""


@dataclass(frozen=True)
class LossWeights:
    """Factors of the losses in their sum."""

    mask: float = 1.0
    classes: float = 1.0
    presence: float = 1.0
    example: float = 0.1
    box: float = 0.5
    affinity: float = 0.3
    taught: float = 1.0
    labels: float = 1.0
    features: float = 0.5


def box_projection(logits: Tensor, inside: Tensor) -> Tensor:
    """Dice between the projections of masks and of boxes onto both axes (BoxInst, Tian et al., arXiv 2012.02310).

    Args:
        logits: float (N, h, w).
        inside: float (N, h, w) fraction of each cell inside the boxes.

    Returns:
        Float (N,), 0 to 2.
    """
    loss = logits.new_zeros(len(logits))
    probability = logits.sigmoid()
    for axis in (1, 2):
        ours, theirs = probability.amax(axis), inside.amax(axis)
        joint = 2 * (ours * theirs).sum(1)
        loss = loss + 1 - (joint + 1) / (ours.square().sum(1) + theirs.square().sum(1) + 1)
    return loss


def colour_affinity(pixels: Tensor) -> Tensor:
    """Similarity of the colours of neighbouring cells.

    Args:
        pixels: float (B, 3, h, w), normalised, at the masks' resolution.

    Returns:
        Float (B, 4, h, w): exp(-|difference| / 2) for each of `NEIGHBOURS`; 0 where the neighbour is outside.
    """
    return torch.stack(
        [torch.exp(-(pixels - moved).norm(dim=1) / 2) * valid for moved, valid in _neighbours(pixels)], 1
    )


def pairwise_affinity(logits: Tensor, affinity: Tensor, inside: Tensor) -> Tensor:
    """Minus log likelihood that neighbours of like colour share a label (BoxInst, equation 5).

    Args:
        logits: float (B, K, h, w).
        affinity: float (B, 4, h, w) of `colour_affinity`.
        inside: float (B, K, h, w); pairs that start inside the boxes count.

    Returns:
        Float (B, K).
    """
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    total, count = logits.new_zeros(logits.shape[:2]), logits.new_zeros(logits.shape[:2])
    for i, ((yes2, valid), (no2, _)) in enumerate(zip(_neighbours(yes), _neighbours(no), strict=True)):
        pair = -torch.logaddexp(yes + yes2, no + no2)
        weight = (affinity[:, i : i + 1] > ALIKE) * (inside > 0.5) * valid
        total = total + (pair * weight).sum((2, 3))
        count = count + weight.sum((2, 3))
    return total / count.clamp(min=1)


def _neighbours(maps: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Maps (B, C, h, w) moved by each offset, and where that is inside."""
    height, width = maps.shape[2:]
    rows, columns = (torch.arange(n, device=maps.device) for n in (height, width))
    result = []
    for down, right in NEIGHBOURS:
        y, x = rows + down, columns + right
        valid = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None, :]
        result.append((maps.roll((-down, -right), (2, 3)), valid.to(maps.dtype)))
    return result


def class_logits(pixel: Tensor, queries: Tensor, cells: Tensor, allowed: Tensor) -> Tensor:
    """Logits of competing names at some cells.

    Args:
        pixel: float (B, D, h, w) pixel vectors.
        queries: float (B, V, D + 1), a vector and a bias for each name.
        cells: int64 (B, n) numbers of cells.
        allowed: bool (B, V + 1), names that compete, 'none of them' first.

    Returns:
        Float (B, n, V + 1), 'none of them' first with logit 0.
    """
    flat = pixel.flatten(2)
    chosen = torch.gather(flat, 2, cells[:, None].expand(-1, flat.shape[1], -1))  # (B, D, n)
    logits = torch.einsum("bdn,bvd->bnv", chosen, queries[..., :-1].to(chosen.dtype)).float()
    logits = logits * pixel.shape[1] ** -0.5 + queries[:, None, :, -1].float()
    logits = torch.cat([torch.zeros_like(logits[..., :1]), logits], 2)
    return logits.masked_fill(~allowed[:, None], -1e4)


def class_loss(logits: Tensor, classes: Tensor, balance: Tensor) -> Tensor:
    """Weighted cross-entropy over cells of known class, the mean over them.

    Args:
        logits: float (B, n, V + 1).
        classes: int64 (B, n); -1 = unknown.
        balance: float (B, V + 1), weights of the names of each image's space.
    """
    known = classes >= 0
    target = classes.clamp(min=0)
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    weight = torch.gather(balance, 1, target) * known
    mean: Tensor = (loss * weight).sum() / weight.sum().clamp(min=1)
    return mean


def example_loss(vectors: Tensor, wanted: Tensor, names: Tensor, there: Tensor) -> Tensor:
    """Pull vectors read from masked examples towards their phrases, away from those of other names.

    Args:
        vectors: float (B, C) of unit length, read from examples.
        wanted: float (B, C) their phrases' vectors.
        names: int64 (B,) numbers of their names.
        there: bool (B,) examples that show something.
    """
    logits = vectors @ wanted.T / 0.07
    same = (names[:, None] == names[None]) | (wanted @ wanted.T > 0.8)
    logits = logits.masked_fill(~there[None], -1e4)
    contrast = -(logits.log_softmax(1).masked_fill(~same, -1e9)).logsumexp(1)
    each = contrast + 2 * (1 - (vectors * wanted).sum(1))
    mean: Tensor = (each * there).sum() / there.sum().clamp(min=1)
    return mean


def relational(ours: Tensor, theirs: Tensor) -> Tensor:
    """One minus the correlation of feature maps, by channel over batch and cells (Cao et al., arXiv 2207.02039).

    Args:
        ours: float (B, C, h, w).
        theirs: float (B, C, h, w) of a teacher.
    """

    def standard(x: Tensor) -> Tensor:
        x = x.float().transpose(0, 1).flatten(1)
        x = x - x.mean(1, keepdim=True)
        scaled: Tensor = x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return scaled

    loss: Tensor = 1 - (standard(ours) * standard(theirs)).sum(1).mean()
    return loss
