"""Boundary IoU: how well outlines agree, whatever the size of the mask.

Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR 2021): the IoU of the
parts of both masks that lie within d pixels of their own outline, d = 2 % of the picture's diagonal. For targets
thinner than 2 d that is the plain IoU, hence the second variant with d = 2 pixels. The picture's edge is an outline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from wordmask.metrics.accumulator import PerSample, mean, quotient
from wordmask.metrics.judged import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

RATIO = 0.02
"""Share of the diagonal in the paper."""

PIXELS = 2
"""The fixed width of the second variant."""


def width(size: tuple[int, int], *, share: float = RATIO) -> int:
    """Return the width in pixels, at least 1, of the band in a picture of `size = (H, W)`."""
    return max(1, round(share * math.hypot(*size)))


def band(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask within `pixels` (chessboard distance) of the outside, bool `(H, W)`."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return mask.copy()
    # Only the bounding box has anything to erode; one pixel of nothing around it makes its edge an outline.
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    framed = np.pad(mask[window], 1).view(np.uint8)
    core = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=pixels)[1:-1, 1:-1]
    edge = mask.copy()
    edge[window] &= core == 0
    return edge


def boundary_overlap(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], pixels: int, ignored: NDArray[np.bool_] | None = None
) -> tuple[int, int]:
    """Return intersection and union, in pixels, of the bands of two bool `(H, W)` masks."""
    return overlap(band(mask, pixels), band(truth, pixels), ignored)


@dataclass(frozen=True, eq=False)
class Boundary(PerSample):
    """Mean boundary IoU in both widths; rows are intersection and union of the wide band, then of the narrow one.

    Two empty masks agree (1), an empty and another do not (0). Ignored pixels are left out of the bands after these are
    drawn.

    Attributes:
        share: Width of the wide band as a share of the diagonal.
        pixels: Width of the narrow band.
    """

    share: float = RATIO
    pixels: int = PIXELS
    columns: ClassVar[tuple[str, ...]] = ("intersection", "union", "intersection_narrow", "union_narrow")

    def update(self, judged: Judged) -> None:
        """Count one judgement."""
        if not judged.pixels:
            return
        height, across = judged.truth.shape
        widths = (width((height, across), share=self.share), self.pixels)
        pairs = [boundary_overlap(judged.mask, judged.truth, pixels, judged.ignored) for pixels in widths]
        self._keep(judged, [number for pair in pairs for number in pair])

    def compute(self) -> dict[str, float]:
        """Return `boundary_iou` and `boundary_iou_Npx`."""
        rows = self.rows()
        wide, narrow = agreement(rows[:, :2]), agreement(rows[:, 2:])
        return {"boundary_iou": mean(wide), f"boundary_iou_{self.pixels}px": mean(narrow)}


def agreement(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return IoU float64 `(N,)` of intersections and unions `(N, 2)`; 1 where both masks are empty."""
    return quotient(rows[:, 0], rows[:, 1], otherwise=1.0)
