"""Mask losses on sampled points: for high-resolution masks of small targets.

A target of half a percent of the image has almost no point among uniform ones, so a part of the points is drawn in and
round the prompt's box (PointRend, arXiv 1912.08193, section 3.2, with that addition).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["PointSampling", "point_losses", "sample_points", "values_at"]


class PointSampling(NamedTuple):
    """How points are drawn.

    Attributes:
        points: For each mask.
        oversample: Candidates for each point that is kept for its uncertainty.
        important: Part of the points that lie where the logit is nearest to 0.
        scale: Of the box in which the other points, and half of the candidates, lie.
    """

    points: int = 12_544
    oversample: int = 3
    important: float = 0.75
    scale: float = 2.0


def sample_points(logits: Tensor, boxes: Tensor, sampling: PointSampling, generator: torch.Generator) -> Tensor:
    """Draw points for N masks.

    Args:
        logits: float `(N, h, w)`.
        boxes: float `(N, 4)`, XYXY, where 0 to 1 spans the map.
        sampling: How many, and where.
        generator: Random numbers, on the CPU.

    Returns:
        float `(N, points, 2)`, (x, y) in [0, 1]; the last `1 - important` of them lie in the enlarged boxes.
    """
    count = len(logits)
    kept = round(sampling.important * sampling.points)
    drawn = torch.rand(count, sampling.oversample * sampling.points, 2, generator=generator).to(logits)
    near = torch.rand(count, sampling.points - kept, 2, generator=generator).to(logits)
    half = drawn.shape[1] // 2
    candidates = torch.cat([_inside(drawn[:, :half], boxes, sampling.scale), drawn[:, half:]], dim=1)
    with torch.no_grad():
        doubt = values_at(logits, candidates).abs()
        chosen = doubt.topk(kept, dim=1, largest=False).indices
    points = torch.gather(candidates, 1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([points, _inside(near, boxes, sampling.scale)], dim=1)


def point_losses(
    logits: Tensor, masks: Tensor, known: Tensor, boxes: Tensor, sampling: PointSampling, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy and one minus Dice of N masks, each `(N,)`, on sampled points.

    Args:
        logits: float `(N, h, w)`.
        masks: float `(N, H, W)` in [0, 1], at any resolution.
        known: float `(N, H, W)` in [0, 1], weight of each pixel.
        boxes: float `(N, 4)`, XYXY, where 0 to 1 spans the map.
        sampling: How many points, and where.
        generator: Random numbers, on the CPU.
    """
    points = sample_points(logits.detach(), boxes, sampling, generator)
    answer, target, weight = (values_at(maps, points) for maps in (logits, masks, known))  # (N, points)
    each = F.binary_cross_entropy_with_logits(answer, target, reduction="none") * weight
    bce = each.sum(dim=1) / weight.sum(dim=1).clamp(min=1e-6)
    probability, target = answer.sigmoid() * weight, target * weight
    joint, both = (probability * target).sum(dim=1), (probability + target).sum(dim=1)
    return bce, 1 - (2 * joint + 1) / (both + 1)


def values_at(maps: Tensor, points: Tensor) -> Tensor:
    """Return bilinear values float `(N, P)` of maps `(N, h, w)` at points `(N, P, 2)`, (x, y) in [0, 1]."""
    grid = (2 * points - 1)[:, None].to(maps)
    return F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0, 0]


def _inside(points: Tensor, boxes: Tensor, scale: float) -> Tensor:
    """Move points `(N, P, 2)` in [0, 1] into boxes `(N, 4)` enlarged by `scale`, as far as these lie in the map."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, scale * (boxes[:, 2:] - boxes[:, :2]) / 2
    low, high = (centre - half).clamp(0, 1)[:, None], (centre + half).clamp(0, 1)[:, None]
    return low + points * (high - low)
