"""Separation of instances that touch: a connected mask is taken apart where it is narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.ops.masks import PackedMask, pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

NECK = 0.5
"""Parts separate where their connection is at most this fraction as wide as the narrower of them."""
SMALLEST = 0.1
"""A part has at least this fraction of the whole's pixels."""
_SIDE = 256
_LEVELS = 24


def split_touching(mask: PackedMask, *, neck: float = NECK, smallest: float = SMALLEST) -> tuple[PackedMask, ...]:
    """Take a connected mask apart at narrow places; a mask without any stays whole.

    The distance of each pixel to the mask's edge is cut at rising levels; a level at which two parts remain that are
    wide enough separates them, and every pixel goes to the nearest.

    Args:
        mask: One connected part.
        neck: Largest width of a connection, as a fraction of the narrower part's.
        smallest: Least area of a part, as a fraction of the whole.

    Returns:
        The parts, the largest first; the union is the mask.
    """
    inside = mask.crop()
    scale = min(1.0, _SIDE / max(inside.shape, default=1))
    if not mask.area or min(inside.shape) * scale < 4:
        return (mask,)
    size = (max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale)))
    small = cv2.resize(inside.view(np.uint8), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    distance = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 5)[1:-1, 1:-1].astype(np.float32)
    seeds = _seeds(distance, neck, smallest * float(np.count_nonzero(small)))
    if seeds is None:
        return (mask,)
    labels = cv2.resize(_nearest(seeds), inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
    parts = [
        pack(inside & (labels == label), size=mask.size, offset=(mask.window[0], mask.window[1]))
        for label in range(1, int(seeds.max()) + 1)
    ]
    return tuple(sorted((part for part in parts if part.area), key=lambda part: -part.area))


def _seeds(distance: NDArray[np.float32], neck: float, least: float) -> NDArray[np.int32] | None:
    """Labels (h, w) from 1 of parts that are separate at some level; None where no level separates two."""
    best: NDArray[np.int32] | None = None
    for level in np.linspace(0, float(distance.max()), _LEVELS, endpoint=False)[1:]:
        count, labels = cv2.connectedComponents((distance > level).astype(np.uint8), connectivity=8)
        peaks = np.zeros(count)
        np.maximum.at(peaks, labels, distance)
        wide = [label for label in range(1, count) if level <= neck * peaks[label]]
        grown = _nearest(_relabelled(labels, wide)) if len(wide) > 1 else None
        if grown is None:
            continue
        areas = np.bincount(grown[distance > 0], minlength=len(wide) + 1)[1:]
        if areas.min() >= least and (best is None or len(wide) > int(best.max())):
            best = _relabelled(labels, wide)
    return best


def _relabelled(labels: NDArray[np.int32], kept: list[int]) -> NDArray[np.int32]:
    table = np.zeros(int(labels.max()) + 1, dtype=np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[labels]


def _nearest(seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each pixel the label of the nearest seed."""
    _, areas = cv2.distanceTransformWithLabels((seeds == 0).astype(np.uint8), cv2.DIST_L2, 5)
    table = np.zeros(int(areas.max()) + 1, dtype=np.int32)
    table[areas[seeds > 0]] = seeds[seeds > 0]
    return table[areas]
