"""Inputs of the crop network: normalised pixels, coarse logits relative to their threshold, and the scale of a crop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FILL", "OUTSIDE", "coarse_input", "pixel_input", "working_scale"]

FILL = (124, 116, 104)
"""Colour outside an image: the mean of ImageNet, zero once normalised."""
OUTSIDE = -6.0
"""Coarse logit outside an image."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
_CLIP = 6.0
_UNIT = 3.0
SMALL_SIDE = 64
"""A smaller region is enlarged until its longer side has this many pixels ..."""
LARGEST_ZOOM = 4.0
"""... but no more than this."""


def pixel_input(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return normalised pixels float32 `(3, h, w)` of a crop uint8 `(h, w, 3)`."""
    return np.ascontiguousarray(((crop - _MEAN) / _STD).transpose(2, 0, 1), dtype=np.float32)


def coarse_input(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return coarse logits, of which the threshold was subtracted, as the network takes them: within [-2, 2]."""
    return np.asarray(logits.clip(-_CLIP, _CLIP) / _UNIT, dtype=np.float32)


def working_scale(side: float, *, longest: float) -> float:
    """Return the crop pixels per image pixel for a region.

    Args:
        side: Longer side of the region's box in image pixels.
        longest: A region longer than this is reduced to it.
    """
    if side < SMALL_SIDE:
        return min(SMALL_SIDE / max(side, 1.0), LARGEST_ZOOM)
    return min(1.0, longest / side)
