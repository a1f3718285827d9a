"""One answer from those about an image and about its mirror image: both orientations are given the same weight.

A network answers about a mirrored image a little differently, so that an instance is found in one orientation and
missed in the other. The mean of both answers does not depend on the orientation: the merged answer about the mirrored
image is the mirrored merged answer. Everything here keeps that: no order of the two matters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wordmask.components.thresholds import own_threshold
from wordmask.images import RgbImage
from wordmask.ops.geometry import Placement, restore, squash
from wordmask.ops.masks import PackedMask, iou, pack
from wordmask.ops.probability import logit
from wordmask.prompts import TextPrompt
from wordmask.prompts.left_right import swap_left_right
from wordmask.results import Found, MaskLogits, Region
from wordmask.results.refined_logits import RefinedLogits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.prompts import Prompt
    from wordmask.results.region import Box

__all__ = ["flipped_found", "flipped_image", "flipped_mask", "merged", "same_objects", "swapped_prompt"]

SAME = 0.5
"""IoU from which regions of the two answers are the same object."""
ALONE = 0.75
"""Factor of the score of a region that only one of the two answers has; tuned on training splits."""
_FURTHEST = 30.0
_LONG_SIDE = 512
"""Cells along the longer side of the mean of maps that lie differently on their canvases."""


def flipped_image(image: RgbImage) -> RgbImage:
    """Return an image with left and right exchanged."""
    return RgbImage(np.ascontiguousarray(image.pixels[:, ::-1]), name=image.name, path=image.path)


def swapped_prompt(prompt: Prompt) -> Prompt:
    """Return a prompt as it reads for the mirrored image; the same object where it names no side."""
    if not isinstance(prompt, TextPrompt):
        return prompt
    text, negatives = swap_left_right(prompt.text), tuple(map(swap_left_right, prompt.negatives))
    if (text, negatives) == (prompt.text, prompt.negatives):
        return prompt
    return replace(prompt, text=text, negatives=negatives)


def flipped_mask(mask: PackedMask) -> PackedMask:
    """Return a mask with left and right exchanged."""
    _, y0, x1, _ = mask.window
    return pack(mask.crop()[:, ::-1], size=mask.size, offset=(mask.size[1] - x1, y0)) if mask.area else mask


def flipped_found(found: Found) -> Found:
    """Return a result as it reads for the mirrored image; its candidates are left out."""
    heat = found.heatmap_logits
    return replace(
        found,
        heatmap_logits=None if heat is None else _flipped_logits(heat),
        regions=None if found.regions is None else tuple(_flipped_region(one, found) for one in found.regions),
        candidates=(),
    )


def merged(first: Found, second: Found) -> Found:
    """Return the mean of two results for one prompt, the second one flipped back; their order does not matter.

    Presences, maps and scores are averaged. A threshold of a map's own is that of the mean map. Regions of the two that
    overlap by `SAME` are one; the score of a region that only one of them has is multiplied by `ALONE`.
    """
    dense = _mean_logits(first.heatmap_logits, second.heatmap_logits)
    threshold = first.threshold
    if first.threshold != second.threshold:
        threshold = own_threshold(dense.values, dense.placement) if dense else (threshold + second.threshold) / 2
    return replace(
        first,
        presence=(first.presence + second.presence) / 2,
        threshold=threshold,
        heatmap_logits=dense,
        regions=_merged_regions(first, second, threshold),
        candidates=(),
    )


def _flipped_logits(heat: MaskLogits) -> MaskLogits:
    """A map over the mirrored canvas, without finer patches."""
    (top, left, height, width), canvas = heat.placement.content, heat.placement.canvas
    placement = Placement(heat.size, canvas, (top, canvas[1] - left - width, height, width))
    return MaskLogits(np.ascontiguousarray(heat.values[:, ::-1]), placement)


def _flipped_region(region: Region, found: Found) -> Region:
    plain = isinstance(region.mask, MaskLogits) and not isinstance(region.mask, RefinedLogits)
    mask = _flipped_logits(region.mask) if plain else flipped_mask(region.packed(found.threshold))  # type: ignore[arg-type]
    return replace(region, mask=mask, box=_flipped_box(region.box, found.size))


def _flipped_box(box: Box | None, size: Size) -> Box | None:
    return None if box is None else (size[1] - box[2], box[1], size[1] - box[0], box[3])


def _mean_logits(first: MaskLogits | None, second: MaskLogits | None) -> MaskLogits | None:
    """The mean of two maps; of maps that lie differently on their canvases, on a grid of the image's shape."""
    if first is None or second is None:
        return first or second
    if _same_grid(first, second):
        return MaskLogits(_mean(first.values, second.values), first.placement)
    scale = min(1.0, _LONG_SIDE / max(first.size))
    height, width = (max(1, round(side * scale)) for side in first.size)
    values = [restore(one.values, replace(one.placement, size=(height, width))) for one in (first, second)]
    return MaskLogits(_mean(*values), squash(first.size, (height, width)))


def _mean(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((first + second) * np.float32(0.5), dtype=np.float32)


def _merged_regions(first: Found, second: Found, threshold: float) -> tuple[Region, ...] | None:
    """Regions of both results, cut at a new threshold, the best first."""
    if first.regions is None or second.regions is None:
        return None
    sides = [[_recut(one, found.threshold, threshold) for one in found.regions or ()] for found in (first, second)]
    pairs = same_objects(*([region.packed(threshold) for region in side] for side in sides))
    made = [_joined(sides[0][i], sides[1][j]) for i, j in pairs]
    for side, taken in zip(sides, ([i for i, _ in pairs], [j for _, j in pairs]), strict=True):
        made += [replace(one, score=ALONE * one.score) for row, one in enumerate(side) if row not in taken]
    return tuple(sorted(made, key=lambda region: -region.score))


def _recut(region: Region, before: float, threshold: float) -> Region:
    """A region whose logits cut at a new threshold give the mask that they gave at another one."""
    if before == threshold or not isinstance(region.mask, MaskLogits):
        return region
    if isinstance(region.mask, RefinedLogits):
        return replace(region, mask=region.packed(before))
    shift = np.float32(_bounded(threshold) - _bounded(before))
    return replace(region, mask=replace(region.mask, values=region.mask.values + shift))


def _bounded(threshold: float) -> float:
    return min(max(logit(threshold), -_FURTHEST), _FURTHEST)


def _joined(first: Region, second: Region) -> Region:
    """One region of two that are the same object: the mean of their maps, or the mask of the better one."""
    score = (first.score + second.score) / 2
    quality = None
    if first.mask_score is not None and second.mask_score is not None:
        quality = (first.mask_score + second.mask_score) / 2
    one, other = first.mask, second.mask
    if isinstance(one, MaskLogits) and isinstance(other, MaskLogits) and _same_grid(one, other):
        return Region(_mean_logits(one, other), score, quality)  # type: ignore[arg-type]
    better = max((first, second), key=lambda region: (region.score, region.packed().area))
    return Region(better.mask, score, quality, better.box)


def _same_grid(one: MaskLogits, other: MaskLogits) -> bool:
    plain = not isinstance(one, RefinedLogits) and not isinstance(other, RefinedLogits)
    return plain and one.placement == other.placement and one.values.shape == other.values.shape


def same_objects(first: Sequence[PackedMask], second: Sequence[PackedMask]) -> list[tuple[int, int]]:
    """Return pairs of positions of masks that are the same object, each at most once, those that agree most first.

    Args:
        first: Masks of one answer.
        second: Masks of another one, of the same size.
    """
    agreed = ((iou(one, other), i, j) for i, one in enumerate(first) for j, other in enumerate(second))
    chosen: list[tuple[int, int]] = []
    for _, i, j in sorted((one for one in agreed if one[0] >= SAME), key=lambda one: -one[0]):
        if all(i != a and j != b for a, b in chosen):
            chosen.append((i, j))
    return chosen
