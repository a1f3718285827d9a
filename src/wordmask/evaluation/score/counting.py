"""Pixel counts of one predicted mask, from which all its scores are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.metrics.boundary import PIXELS, boundary_overlap, width
from wordmask.metrics.overlap import confusion_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Window
    from wordmask.ops.masks import PackedMask

    Mask = NDArray[np.bool_]
    Bits = NDArray[np.uint8]

__all__ = ["COUNTED", "count", "count_packed"]

COUNTED = ("area", "pixels", "tp", "fp", "fn", "tn", "bi", "bu", "ni", "nu")
"""Pixels of the ground truth and of the image, TP, FP, FN, TN, then intersection and union of the wide and of the
narrow boundary band."""

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def count(mask: Mask, ground_truth: Mask, ignored: Mask | None) -> list[int]:
    """Count `COUNTED` of a prediction, bool `(H, W)` each."""
    counts = confusion_counts(mask, ground_truth, ignored)
    return [
        int(np.count_nonzero(ground_truth)),
        ground_truth.size,
        *counts,
        *_bands(mask, ground_truth, ignored, ground_truth.shape),
    ]


def count_packed(mask: PackedMask, ground_truth: PackedMask, ignored: Mask | None) -> list[int]:
    """Count `COUNTED` of a prediction; outside both bounding boxes all pixels are true negatives and none is read."""
    height, across = ground_truth.size
    total = height * across - (0 if ignored is None else int(np.count_nonzero(ignored)))
    if not (mask.area or ground_truth.area):
        return [0, height * across, 0, 0, 0, total, 0, 0, 0, 0]
    window = _around(mask, ground_truth)
    predicted, true = _framed(mask, window), _framed(ground_truth, window)
    keep = None if ignored is None else _kept(ignored, window)
    tp, union = _overlap(predicted, true, keep)
    positives = mask.area if keep is None else _counted(predicted, keep)
    fp, fn = positives - tp, union - positives
    wide, narrow = _framed_bands(predicted, true, keep, (width((height, across)), PIXELS))
    return [ground_truth.area, height * across, tp, fp, fn, total - tp - fp - fn, *wide, *narrow]


def _bands(mask: Mask, ground_truth: Mask, ignored: Mask | None, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    wide = boundary_overlap(mask, ground_truth, width((size[0], size[1])), ignored)
    return *wide, *boundary_overlap(mask, ground_truth, PIXELS, ignored)


# --- in a window -----------------------------------------------------------------------------------------------------
# Masks as uint8 of 0 and 1 in a frame of zeros, one pixel wide, which makes the border of the window a boundary.


def _framed_bands(predicted: Bits, true: Bits, keep: Bits | None, widths: tuple[int, int]) -> list[tuple[int, int]]:
    """Count intersection and union of the boundary bands of every width, as `metrics.boundary` defines them."""
    counted: dict[int, tuple[int, int]] = {}
    cores, done = (predicted, true), 0
    for pixels in sorted(set(widths)):  # eroding by 2 and then by 12 is eroding by 14
        cores = _eroded(cores[0], pixels - done), _eroded(cores[1], pixels - done)
        counted[pixels] = _overlap(predicted - cores[0], true - cores[1], keep)
        done = pixels
    return [counted[pixels] for pixels in widths]


def _eroded(bits: Bits, pixels: int) -> Bits:
    return np.asarray(cv2.erode(bits, _NEIGHBOURS, iterations=pixels), dtype=np.uint8)


def _overlap(first: Bits, second: Bits, keep: Bits | None) -> tuple[int, int]:
    """Return the intersection and the union in pixels."""
    if keep is not None:
        first, second = first & keep, second & keep
    both = cv2.countNonZero(first & second)
    return both, cv2.countNonZero(first) + cv2.countNonZero(second) - both


def _counted(bits: Bits, keep: Bits) -> int:
    return int(cv2.countNonZero(bits & keep))


def _kept(ignored: Mask, window: Window) -> Bits:
    x0, y0, x1, y1 = window
    return np.pad((~ignored[y0:y1, x0:x1]).view(np.uint8), 1)


def _around(first: PackedMask, second: PackedMask) -> Window:
    """Return the smallest window that holds both masks, of which one at least is not empty."""
    windows = [mask.window for mask in (first, second) if mask.area]
    x0, y0 = (min(window[side] for window in windows) for side in (0, 1))
    x1, y1 = (max(window[side] for window in windows) for side in (2, 3))
    return x0, y0, x1, y1


def _framed(mask: PackedMask, window: Window) -> Bits:
    """Return the part of a mask inside a window that holds all of it, with the frame around."""
    x0, y0, x1, y1 = window
    part = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
    if mask.area:
        left, top, right, bottom = mask.window
        part[top - y0 + 1 : bottom - y0 + 1, left - x0 + 1 : right - x0 + 1] = mask.crop().view(np.uint8)
    return part
