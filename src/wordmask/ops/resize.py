"""Resize images to a network's size: uint8 in, uint8 out, antialiased when shrinking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement, Size

Filter: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
LARGE = 2**24
"""Pixels from which an image is resized in strips, in bounded memory."""


def resize(pixels: NDArray[np.uint8], size: Size, *, resample: Filter = "bilinear") -> NDArray[np.uint8]:
    """Scale an image to `size = (height, width)`.

    Pillow's filters, which widen with the reduction and so do not alias; they are what the published CLIP and
    CLIPSeg preprocessing uses, so pixels agree with it exactly.

    Args:
        pixels: uint8 `(H, W, 3)` or `(H, W)`.
        size: `(height, width)` of the result.
        resample: Which filter.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels
    if resample != "nearest" and pixels.shape[0] * pixels.shape[1] > LARGE:
        pixels = _narrowed(pixels, size[1], resample)
    return _resized(pixels, size, resample)


def _narrowed(pixels: NDArray[np.uint8], width: int, resample: Filter) -> NDArray[np.uint8]:
    """Scale the width alone, some rows at a time, since Pillow's own copy of an image takes 4 bytes a pixel.

    Pillow scales rows first, then columns, and rounds between the two, so the result is the same bit for bit.
    """
    rows = max(1, LARGE // (8 * pixels.shape[1]))
    strips = (pixels[top : top + rows] for top in range(0, len(pixels), rows))
    return np.concatenate([_resized(strip, (len(strip), width), resample) for strip in strips])


def _resized(pixels: NDArray[np.uint8], size: Size, resample: Filter) -> NDArray[np.uint8]:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((size[1], size[0]), _FILTERS[resample]))


def place(
    pixels: NDArray[np.uint8],
    placement: Placement,
    *,
    fill: tuple[int, int, int] = (0, 0, 0),
    resample: Filter = "bilinear",
) -> NDArray[np.uint8]:
    """Put an image on a network's canvas.

    Args:
        pixels: uint8 `(H, W, 3)`, as large as `placement.size`.
        placement: Where it goes.
        fill: Colour of the padding; the network's mean colour becomes zero after normalising.
        resample: Which filter.

    Returns:
        uint8 `(ch, cw, 3)`.
    """
    top, left, height, width = placement.content
    content = resize(pixels, (height, width), resample=resample)
    if (height, width) == tuple(placement.canvas):
        return content
    canvas = np.empty((*placement.canvas, 3), dtype=np.uint8)
    canvas[:] = fill
    canvas[top : top + height, left : left + width] = content
    return canvas


def normalised(
    pixels: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return (pixels / 255 - mean) / std, each of the 256 values of a channel worked out once.

    Args:
        pixels: uint8 `(h, w, 3)`.
        mean: Of each channel, in [0, 1].
        std: Of each channel.

    Returns:
        float32 `(h, w, 3)`.
    """
    import cv2

    values = np.arange(256, dtype=np.uint8)[:, None] * np.float32(1 / 255)
    table = ((values - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)).astype(np.float32)  # (256, 3)
    return np.asarray(cv2.LUT(pixels, table[None]), np.float32)
