"""Random square crops that show enough of an object, as in CLIPSeg's training.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (arXiv 2112.10003), section 4, and its published
training code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

__all__ = ["MIN_COVERAGE", "TRIES", "cut_crop", "find_crop", "resize_mask", "resize_pixels"]

TRIES = 50
"""Places tried for a crop."""
MIN_COVERAGE = 0.05
"""Share of the whole image's area that an object must cover inside a crop to be found at once."""


def find_crop(mask: Mask, random: np.random.Generator) -> tuple[int, int, int]:
    """Return `(top, left, side)` of a random square crop that shows enough of an object.

    The side is the mask's shorter one. Up to `TRIES` places are drawn, each with the same probability; the first with
    more than `MIN_COVERAGE` of the whole mask's pixels set is taken, or else the first of those with the most.

    Args:
        mask: Bool `(H, W)`.
        random: Where the places are drawn from.
    """
    height, width = mask.shape
    side, enough = min(height, width), MIN_COVERAGE * height * width
    along = mask.sum(axis=0 if width > height else 1, dtype=np.int64)  # the crop moves along the longer axis only
    before = np.concatenate([[0], np.cumsum(along)])
    most, best = -1, 0
    for _ in range(TRIES):
        place = int(random.integers(max(height, width) - side + 1))
        shown = int(before[place + side] - before[place])
        if shown > most:
            most, best = shown, place
        if shown > enough:
            break
    return (0, best, side) if width > height else (best, 0, side)


def cut_crop(
    pixels: Pixels, masks: tuple[Mask, ...], crop: tuple[int, int, int] | None, size: int
) -> tuple[Pixels, tuple[Mask, ...]]:
    """Return a crop of an image and of masks of the same size, resized to `size`.

    Args:
        pixels: uint8 `(H, W, 3)`.
        masks: Bool `(H, W)` each.
        crop: `(top, left, side)`; None = the whole image, squashed.
        size: Side of the result in pixels.
    """
    if crop is not None:
        top, left, side = crop
        window = (slice(top, top + side), slice(left, left + side))
        pixels, masks = pixels[window], tuple(mask[window] for mask in masks)
    return resize_pixels(pixels, size), tuple(resize_mask(mask, size) for mask in masks)


def resize_pixels(pixels: Pixels, size: int) -> Pixels:
    """Resize to `(size, size, 3)`, bilinear between the centres of the corner pixels (torch's `align_corners=True`)."""
    values = pixels.astype(np.float32)
    for axis in (0, 1):
        place = np.linspace(0, values.shape[axis] - 1, size, dtype=np.float64)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        fraction = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first = values.take(low, axis=axis)
        values = first + (values.take(high, axis=axis) - first) * fraction
    return np.rint(values).astype(np.uint8)


def resize_mask(mask: Mask, size: int) -> Mask:
    """Resize to `(size, size)` by the nearest pixel to the left and above (torch's mode "nearest")."""
    rows, columns = (np.arange(size) * side // size for side in mask.shape)
    return np.asarray(mask[rows[:, None], columns])
