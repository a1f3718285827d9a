"""Boundary IoU: overlap of the outlines of two masks.

Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR 2021): the IoU of the
parts of both masks that lie within d pixels of their own outline, d = 2 % of the image's diagonal. For targets thinner
than 2 d that is the plain IoU, hence the second variant with d = 2 pixels. The image border is an outline.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.metrics.overlap import intersection_and_union

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATIO = 0.02
"""Band width as a share of the diagonal, as in the paper."""

PIXELS = 2
"""Band width of the second variant, in pixels."""


def width(size: tuple[int, int], *, ratio: float = RATIO) -> int:
    """Return the band width in pixels, at least 1, for an image of `size = (H, W)`."""
    return max(1, round(ratio * math.hypot(*size)))


def band(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask within `pixels` (chessboard distance) of the outside, bool `(H, W)`."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return mask.copy()
    # Only the bounding box has anything to erode; one empty pixel around it makes its edge an outline.
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    framed = np.pad(mask[window], 1).view(np.uint8)
    core = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=pixels)[1:-1, 1:-1]
    edge = mask.copy()
    edge[window] &= core == 0
    return edge


def boundary_overlap(
    mask: NDArray[np.bool_], ground_truth: NDArray[np.bool_], pixels: int, ignored: NDArray[np.bool_] | None = None
) -> tuple[int, int]:
    """Count intersection and union, in pixels, of the bands of two bool `(H, W)` masks."""
    return intersection_and_union(band(mask, pixels), band(ground_truth, pixels), ignored)
