"""Prompts that are drawn from ground truth masks in training: boxes of several kinds, and points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PromptMixture", "RegionPrompts", "draw_prompts", "mask_boxes"]


@dataclass(frozen=True)
class PromptMixture:
    """Parts of the prompts; the remaining ones are boxes whose sides are shifted by up to `jitter` of their length.

    Attributes:
        jitter: Of the usual box.
        loose: Part of boxes enlarged 1.2 to 1.8 times.
        points: Part of prompts that are `count` points on the object.
        whole: Part of boxes round the whole image.
        count: Points of a prompt.
    """

    jitter: float = 0.15
    loose: float = 0.1
    points: float = 0.1
    whole: float = 0.1
    count: int = 10


class RegionPrompts(NamedTuple):
    """Prompts for N masks.

    Attributes:
        boxes: float `(N, 4)`, XYXY in pixels of the masks; also where points are the prompt.
        points: float `(N, M, 2)`, (x, y) in pixels: centres of pixels on the object.
        by_points: bool `(N,)`, whether the points are the prompt.
    """

    boxes: Tensor
    points: Tensor
    by_points: Tensor


def mask_boxes(masks: Tensor) -> Tensor:
    """Return tight boxes float `(N, 4)`, XYXY with an exclusive end, of masks `(N, H, W)` that are not empty."""
    boxes = []
    for mask in masks > 0.5:
        rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
        boxes.append(torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]))
    return torch.stack(boxes).float() if boxes else masks.new_zeros(0, 4)


def draw_prompts(masks: Tensor, mixture: PromptMixture, generator: torch.Generator) -> RegionPrompts:
    """Draw a prompt for each mask.

    Args:
        masks: `(N, H, W)`, none of them empty.
        mixture: Which kinds.
        generator: Random numbers, on the CPU; as many are drawn whatever the kinds.
    """
    count, height, width = masks.shape
    boxes = mask_boxes(masks).cpu()
    kind = torch.rand(count, generator=generator)
    shift = 2 * torch.rand(count, 4, generator=generator) - 1
    growth = 1.2 + 0.6 * torch.rand(count, 1, generator=generator)
    places = torch.rand(count, mixture.count, generator=generator)
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = boxes + mixture.jitter * shift * sides
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    loose = torch.cat([centre - growth * sides[:, :2] / 2, centre + growth * sides[:, :2] / 2], dim=1)
    image = torch.tensor([0.0, 0.0, width, height]).expand(count, 4)
    first, second, third = mixture.loose, mixture.loose + mixture.whole, mixture.loose + mixture.whole + mixture.points
    chosen = torch.where(kind[:, None] < first, loose, torch.where(kind[:, None] < second, image, moved))
    limit = torch.tensor([width, height, width, height], dtype=torch.float32)
    by_points = (kind >= second) & (kind < third)
    return RegionPrompts(
        torch.minimum(chosen.clamp(min=0), limit).to(masks.device),
        _points_on(masks, places).to(masks.device),
        by_points.to(masks.device),
    )


def _points_on(masks: Tensor, places: Tensor) -> Tensor:
    """Centres of pixels of each mask, (N, M, 2); `places` (N, M) in [0, 1) choose among them."""
    points = []
    for mask, chosen in zip((masks > 0.5).cpu(), places, strict=True):
        pixels = mask.nonzero()
        points.append(pixels[(chosen * len(pixels)).long()].flip(1).float() + 0.5)
    return torch.stack(points) if points else places.new_zeros(0, places.shape[1], 2)
