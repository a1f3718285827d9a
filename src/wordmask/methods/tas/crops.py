"""Square crops of regions: the object alone on black for CLIP, or sharp before its blurred surroundings for captions.

Suo et al., arXiv 2310.18049, as their released code does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.ops.masks import PackedMask

    Pixels = NDArray[np.uint8]

__all__ = ["blurred_image", "caption_crop", "clip_crop", "clip_pixels"]

KERNEL = 75
"""Side of the Gaussian kernel of the surroundings, in pixels; its sigma follows from it (OpenCV's rule): 11.6."""


def clip_crop(image: Pixels, mask: PackedMask) -> Pixels:
    """Return the object on black, cut out at its box and padded with black to a square.

    The padding is the same on both sides, so that a side is one pixel short of a square where the difference is odd.

    Args:
        image: uint8 (H, W, 3).
        mask: The object, not empty.

    Returns:
        uint8 (h, w, 3), the sides equal or one pixel apart.
    """
    x0, y0, x1, y1 = mask.window
    return _squared(image[y0:y1, x0:x1] * mask.crop()[..., None])


def blurred_image(image: Pixels) -> Pixels:
    """Return the surroundings of caption crops: the whole image blurred, uint8 (H, W, 3)."""
    return np.asarray(cv2.GaussianBlur(image, (KERNEL, KERNEL), 0), np.uint8)


def caption_crop(image: Pixels, mask: PackedMask, blurred: Pixels | None = None) -> Pixels:
    """Return the object, sharp, before its blurred surroundings; box and padding as in `clip_crop`.

    Args:
        image: uint8 (H, W, 3).
        mask: The object, not empty.
        blurred: `blurred_image(image)`, where it is known.
    """
    x0, y0, x1, y1 = mask.window
    around = blurred_image(image) if blurred is None else blurred
    return _squared(np.where(mask.crop()[..., None], image[y0:y1, x0:x1], around[y0:y1, x0:x1]))


def clip_pixels(crops: Sequence[Pixels], side: int) -> Pixels:
    """Return crops as CLIP's preprocessing makes them: the shorter side scaled to `side` (bicubic), centre cut out.

    Args:
        crops: N images uint8 (h, w, 3).
        side: Of CLIP's images.

    Returns:
        uint8 (N, side, side, 3).
    """
    result = np.empty((len(crops), side, side, 3), np.uint8)
    for place, crop in enumerate(crops):
        height, width = crop.shape[:2]
        scale = side / min(height, width)
        scaled = resize(crop, (max(side, int(height * scale)), max(side, int(width * scale))), resample="bicubic")
        top, left = (round((length - side) / 2) for length in scaled.shape[:2])
        result[place] = scaled[top : top + side, left : left + side]
    return result


def _squared(crop: Pixels) -> Pixels:
    """Pad the shorter side with black, the same on both ends."""
    height, width = crop.shape[:2]
    down, across = max(0, (width - height) // 2), max(0, (height - width) // 2)
    return np.pad(crop, ((down, down), (across, across), (0, 0)))
