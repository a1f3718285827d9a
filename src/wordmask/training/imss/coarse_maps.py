"""Coarse maps for training, of the kinds that segmenters and detectors give: blurred, shifted, too large, a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["box_map", "degraded", "blurred_map", "mask_box", "wide_map"]


def mask_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the bounding box XYXY of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def blurred_map(mask: NDArray[np.bool_], draw: Generator) -> NDArray[np.float32]:
    """Return logits `(h, w)` of a coarse segmenter that knows where a mask is: blurred, shifted, of uneven width.

    Args:
        mask: bool `(H, W)`, not empty.
        draw: Source of random numbers.
    """
    size = mask.shape
    cells = float(draw.uniform(24, 112))
    shape = tuple(max(4, round(side * cells / max(size))) for side in size)
    map_ = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = mask_box(mask)
    span = max(x1 - x0, y1 - y0) * cells / max(size)  # long side of the box in cells
    width = float(draw.uniform(0.4, 0.6 + 0.06 * span))
    map_ = cv2.GaussianBlur(map_, (0, 0), width)
    dx, dy = draw.normal(0, 0.06, 2) * span + draw.normal(0, 0.4, 2)
    map_ = cv2.warpAffine(map_, np.array([[1, 0, dx], [0, 1, dy]]), (shape[1], shape[0]))
    noise: NDArray[Any] = cv2.GaussianBlur(
        draw.normal(0, 1, shape).astype(np.float32), (0, 0), float(draw.uniform(1, 4))
    )
    noise = noise * np.float32(draw.uniform(0, 0.08) / max(float(noise.std()), 1e-6))
    cut = float(draw.uniform(0.25, 0.6)) * min(1.0, float(map_.max()))
    logits = (map_ + noise * (map_ > 0.02) - cut) * np.float32(draw.uniform(4, 14))
    return np.asarray(logits, dtype=np.float32)


def box_map(mask: NDArray[np.bool_], draw: Generator, *, jitter: float = 0.25) -> NDArray[np.float32]:
    """Return logits `(h, w)` that are positive in a jittered box round a mask: all that a detector tells."""
    size = mask.shape
    x0, y0, x1, y1 = mask_box(mask)
    shift = draw.uniform(-jitter, jitter, 4) * np.array([x1 - x0, y1 - y0] * 2)
    left, top, right, bottom = np.array([x0, y0, x1, y1]) + shift
    return _positive_in((left, top, right, bottom), size)


def wide_map(mask: NDArray[np.bool_], draw: Generator) -> NDArray[np.float32]:
    """Return logits `(h, w)` that are positive in a box much larger than a mask's own.

    A third of these boxes are the whole image, the others at least 0.3 of each of its sides.
    """
    height, width = mask.shape
    x0, y0, x1, y1 = mask_box(mask)
    if draw.random() < 1 / 3:
        return _positive_in((0, 0, width, height), mask.shape)
    part = float(draw.uniform(0.3, 1.0))
    left, top = draw.uniform(0, 1, 2)
    return _positive_in(
        (
            min(x0, left * (1 - part) * width), min(y0, top * (1 - part) * height),
            max(x1, (left + (1 - left) * part) * width), max(y1, (top + (1 - top) * part) * height),
        ), mask.shape,
    )  # fmt: skip


def _positive_in(box: tuple[float, float, float, float], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Logits `(h, w)`, on a grid of at most 256 cells, that are positive in a box XYXY of an image of a size."""
    left, top, right, bottom = box
    shrink = min(1.0, 256 / max(size))
    shape = tuple(max(4, round(side * shrink)) for side in size)
    map_ = np.full(shape, -2.0, np.float32)
    rows = slice(max(0, round(top * shrink)), max(1, round(bottom * shrink)))
    columns = slice(max(0, round(left * shrink)), max(1, round(right * shrink)))
    map_[rows, columns] = 2.0
    return map_


def degraded(logits: NDArray[np.float32], draw: Generator) -> NDArray[np.float32]:
    """Return a segmenter's logits `(h, w)`, at random blurred, shifted, scaled and raised.

    A network's maps of the images that it was trained on are better than those of other images; this makes up for it.
    """
    map_: NDArray[Any] = logits.astype(np.float32)
    if draw.random() < 0.5:
        map_ = cv2.GaussianBlur(map_, (0, 0), float(draw.uniform(0.4, 1.8)))
    if draw.random() < 0.4:
        dx, dy = draw.normal(0, 0.9, 2)
        height, width = map_.shape
        matrix = np.array([[1, 0, dx], [0, 1, dy]])
        map_ = cv2.warpAffine(map_, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if draw.random() < 0.15:
        noise = cv2.GaussianBlur(draw.normal(0, 1, map_.shape).astype(np.float32), (0, 0), float(draw.uniform(1.5, 5)))
        map_ = map_ + noise * np.float32(draw.uniform(0.1, 0.8) / max(float(noise.std()), 1e-6))
    return map_ * np.float32(draw.uniform(0.6, 1.5)) + np.float32(draw.normal(0, 0.6))
