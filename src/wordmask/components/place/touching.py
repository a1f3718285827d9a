"""Separation of instances that touch: a connected mask is taken apart where it is narrow or its probability is low."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.ops.masks import PackedMask, components, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.results import MaskLogits

NECK = 0.7
"""Parts separate where their connection is at most this fraction as wide as the narrower of them."""
DEPTH = 0.5
"""Parts separate where the logits between them are at least this much lower than in each of them."""
SMALLEST = 0.1
"""A part has at least this fraction of the whole's pixels."""
_APART = 0.02
_SIDE = 96
_LEVELS = 16


def split_touching(
    mask: PackedMask, heat: MaskLogits | None = None, *, neck: float = NECK, depth: float = DEPTH,
    smallest: float = SMALLEST,
) -> tuple[PackedMask, ...]:  # fmt: skip
    """Take a connected mask apart at valleys of its logits, or else at narrow places; without any it stays whole.

    A map, of the logits or of the distances to the mask's edge, is cut at rising levels. A level at which two parts
    remain that rise far enough above it separates them, and every pixel goes to the nearest.

    Args:
        mask: One connected part.
        heat: The logits it was cut from.
        neck: Largest width of a connection, as a fraction of the narrower part's.
        depth: Least depth of a valley, in logits.
        smallest: Least area of a part, as a fraction of the whole.

    Returns:
        The parts, the largest first; the union is the mask.
    """
    if not mask.area:
        return (mask,)
    inside = mask.crop()
    scale = min(1.0, _SIDE / max(inside.shape))
    if min(inside.shape) * scale < 4:
        return (mask,)
    size = (max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale)))
    turned = _is_turned(inside)
    inside = np.ascontiguousarray(inside[:, ::-1]) if turned else inside
    small = cv2.resize(inside.view(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.bool_)
    least = smallest * float(np.count_nonzero(small))
    sampled = None if heat is None else _sampled(heat, mask.window, size)
    if sampled is not None:
        seeds = _seeds(np.ascontiguousarray(sampled[:, ::-1]) if turned else sampled, small, least, depth=depth)
    else:
        seeds = None
    if seeds is None:
        distance = cv2.distanceTransform(np.pad(small, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        seeds = _seeds(distance.astype(np.float32), small, least, neck=neck)
    if seeds is None:
        return (mask,)
    labels = cv2.resize(_nearest(seeds), inside.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    kept = (inside & (labels == label) for label in range(1, int(seeds.max()) + 1))
    parts = [
        pack(part[:, ::-1] if turned else part, size=mask.size, offset=(mask.window[0], mask.window[1]))
        for part in kept
    ]
    return tuple(sorted((part for part in parts if part.area), key=lambda part: -part.area))


def _is_turned(inside: NDArray[np.bool_]) -> bool:
    """Whether a mask's mirror image is the one that is taken apart, so that both come apart alike."""
    return inside.tobytes() > inside[:, ::-1].tobytes()


def weaker_parts(found: PackedMask, heat: MaskLogits, *, threshold: float, least: float) -> tuple[PackedMask, ...]:
    """Return parts at a lower threshold that lie apart from a mask: instances of which the model is less sure.

    Args:
        found: The mask, and whatever else is taken.
        heat: The logits it was cut from.
        threshold: Probability, below the mask's.
        least: Least area of a part in pixels.
    """
    side = 2 * max(1, round(_APART * max(found.size) / 2)) + 1
    taken = cv2.dilate(found.full().view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)
    parts = components(heat.packed(threshold))
    large = (part for part in parts if part.area >= least)
    return tuple(part for part in large if np.count_nonzero(part.full() & ~taken) >= 0.7 * part.area)


def _sampled(heat: MaskLogits, window: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Smoothed logits (h, w) of a window of the input, sampled at `size` = (w, h)."""
    (top, left, height, width), canvas = heat.placement.content, heat.placement.canvas
    x0, y0, x1, y1 = window
    across = x0 + (np.arange(size[0]) + 0.5) * (x1 - x0) / size[0]
    down = y0 + (np.arange(size[1]) + 0.5) * (y1 - y0) / size[1]
    rows, columns = heat.values.shape
    x = (left + across * width / heat.size[1]) / canvas[1] * columns - 0.5
    y = (top + down * height / heat.size[0]) / canvas[0] * rows - 0.5
    across_map, down_map = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    sampled = cv2.remap(heat.values, across_map, down_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    smooth: NDArray[np.float32] = cv2.GaussianBlur(sampled, (0, 0), 1.0).astype(np.float32)
    return smooth


def _seeds(
    values: NDArray[np.float32], inside: NDArray[np.bool_], least: float, *, neck: float = 0.0, depth: float = 0.0
) -> NDArray[np.int32] | None:
    """Labels (h, w) from 1 of parts that are separate at some level; None where no level separates two."""
    best: NDArray[np.int32] | None = None
    for level, labels, peaks in _levels(values, inside):
        limits = neck * peaks if neck else peaks - depth
        high = [label for label in range(1, len(peaks)) if level <= limits[label]]
        if len(high) < 2:
            continue
        seeds = _relabelled(labels, high)
        areas = np.bincount(_nearest(seeds)[inside], minlength=len(high) + 1)[1:]
        kept = [label for label, area in enumerate(areas, start=1) if area >= least]
        if len(kept) > 1 and (best is None or len(kept) > int(best.max())):
            best = _relabelled(seeds, kept)
    return best


def _levels(
    values: NDArray[np.float32], inside: NDArray[np.bool_]
) -> Iterator[tuple[float, NDArray[np.int32], NDArray[np.float64]]]:
    """Yield rising levels with the labels (h, w) of the parts above each, and their highest values."""
    low, high = float(values[inside].min()), float(values[inside].max())
    for level in np.linspace(low, high, _LEVELS, endpoint=False)[1:]:
        count, labels = cv2.connectedComponents(((values > level) & inside).astype(np.uint8), connectivity=4)
        peaks = np.full(count, -np.inf)
        np.maximum.at(peaks, labels.ravel(), values.ravel().astype(np.float64))
        yield float(level), labels, peaks


def _relabelled(labels: NDArray[np.int32], kept: list[int]) -> NDArray[np.int32]:
    table = np.zeros(int(labels.max()) + 1, dtype=np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(table[labels], dtype=np.int32)


def _nearest(seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each pixel the label of the nearest seed."""
    _, areas = cv2.distanceTransformWithLabels((seeds == 0).astype(np.uint8), cv2.DIST_L2, 5)
    table = np.zeros(int(areas.max()) + 1, dtype=np.int32)
    table[areas[seeds > 0]] = seeds[seeds > 0]
    return np.asarray(table[areas], dtype=np.int32)
