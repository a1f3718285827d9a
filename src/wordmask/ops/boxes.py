"""Boxes: float arrays `(N, 4)`, XYXY in input pixels, the end exclusive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def from_mask(mask: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """Return the tight box of a mask `(H, W)`, or None when nothing is set."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def to_xywh(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return COCO's `(x, y, width, height)`."""
    x0, y0, x1, y1 = box
    return x0, y0, x1 - x0, y1 - y0


def area(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return `(N,)`; boxes turned inside out have area 0."""
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).clip(min=0)
    product: NDArray[np.float64] = sides[:, 0] * sides[:, 1]
    return product


def iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return intersection over union `(N, M)` of every pair; 0 where both boxes are empty."""
    corners = np.maximum(first[:, None, :2], second[None, :, :2])
    ends = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = (ends - corners).astype(np.float64).clip(min=0)
    joint = sides[..., 0] * sides[..., 1]
    whole = area(first)[:, None] + area(second)[None, :] - joint
    ratio: NDArray[np.float64] = np.divide(joint, whole, out=np.zeros_like(joint), where=whole > 0)
    return ratio


def nms(boxes: NDArray[np.floating], scores: NDArray[np.floating], *, threshold: float) -> NDArray[np.intp]:
    """Return the indices of the boxes that survive greedy non-maximum suppression, best first.

    A box is dropped when its IoU with a better surviving one exceeds `threshold`; of equal scores the earlier wins.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        overlap = iou(boxes[best : best + 1], boxes[rest])[0]
        order = rest[overlap <= threshold]
    return np.array(kept, dtype=np.intp)
