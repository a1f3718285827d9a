"""Cut rectangles out of images and maps at any scale, and read maps on a rectangle at the image's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.ops.geometry import axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Axis, Size, Window

__all__ = ["CropView", "cut", "view_axes"]

_SMALLEST_SCALE = 0.5
"""Below this, bilinear sampling skips pixels: the source is shrunk by area first."""


@dataclass(frozen=True)
class CropView:
    """A rectangle of an image seen at a scale; it may reach beyond the image.

    Attributes:
        left: Its left side in image pixels.
        top: Its upper side in image pixels.
        scale: Crop pixels per image pixel.
        size: `(h, w)` of the crop.
    """

    left: float
    top: float
    scale: float
    size: Size

    def window(self, size: Size) -> Window:
        """Return the whole pixels `(x0, y0, x1, y1)` of an image of `size` whose centres lie in the rectangle."""
        height, width = (side / self.scale for side in self.size)
        x0, x1 = (min(max(math.ceil(x - 0.5), 0), size[1]) for x in (self.left, self.left + width))
        y0, y1 = (min(max(math.ceil(y - 0.5), 0), size[0]) for y in (self.top, self.top + height))
        return x0, y0, max(x0, x1), max(y0, y1)


def cut(
    values: NDArray[Any], view: CropView, size: tuple[float, float], *, fill: float | tuple[float, ...] = 0.0
) -> NDArray[Any]:
    """Return what a view shows of an image or of a map over the image, bilinearly interpolated.

    Args:
        values: uint8 or float32 `(h, w)` or `(h, w, C)`, covering the image at any stride.
        view: The rectangle.
        size: `(H, W)` of the image, in pixels or parts of them.
        fill: Value outside the image.
    """
    down, across = values.shape[0] / size[0], values.shape[1] / size[1]  # cells per image pixel
    x0, x1 = _range(view.left * across, view.size[1] / view.scale * across, values.shape[1])
    y0, y1 = _range(view.top * down, view.size[0] / view.scale * down, values.shape[0])
    if x0 >= x1 or y0 >= y1:
        return np.full((*view.size, *values.shape[2:]), fill, dtype=values.dtype)
    part = values[y0:y1, x0:x1]
    step_x, step_y = across / view.scale, down / view.scale  # cells per crop pixel
    part, shrunk_y, shrunk_x = _shrunk(part, step_y, step_x)
    matrix = np.array(
        [
            [step_x / shrunk_x, 0, ((0.5 / view.scale + view.left) * across - x0) / shrunk_x - 0.5],
            [0, step_y / shrunk_y, ((0.5 / view.scale + view.top) * down - y0) / shrunk_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    padded = cv2.copyMakeBorder(np.ascontiguousarray(part), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    matrix[:, 2] += 1  # the border of one cell, so that the image's edge is not mixed with the filling
    border: Any = fill if isinstance(fill, tuple) else (fill,) * 4
    height, width = view.size
    return cv2.warpAffine(
        padded, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )


def view_axes(view: CropView, window: Window) -> tuple[Axis, Axis]:
    """Return how rows and columns of a window of the image read from a map over a view, clamped at its borders.

    Args:
        view: The rectangle, whose map has `view.size` values.
        window: `(x0, y0, x1, y1)` in image pixels.
    """
    x0, y0, x1, y1 = window
    offsets = ((y0 - view.top) * view.scale, (x0 - view.left) * view.scale)
    lengths = ((y1 - y0) * view.scale, (x1 - x0) * view.scale)
    rows, columns = (
        axis(pixels, offset, length, cells, cells)
        for pixels, offset, length, cells in zip((y1 - y0, x1 - x0), offsets, lengths, view.size, strict=True)
    )
    return rows, columns


def _range(start: float, length: float, limit: int) -> tuple[int, int]:
    """Whole cells of `limit` that interpolation between `start` and `start + length` may read."""
    return max(0, math.floor(start) - 2), min(limit, math.ceil(start + length) + 2)


def _shrunk(part: NDArray[Any], step_y: float, step_x: float) -> tuple[NDArray[Any], float, float]:
    """A map shrunk by area where a step skips cells, and the cells of the old map in one of the new."""
    height, width = part.shape[:2]
    rows = height if step_y <= 1 / _SMALLEST_SCALE else max(1, math.ceil(height / step_y))
    columns = width if step_x <= 1 / _SMALLEST_SCALE else max(1, math.ceil(width / step_x))
    if (rows, columns) == (height, width):
        return part, 1.0, 1.0
    return cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), height / rows, width / columns
