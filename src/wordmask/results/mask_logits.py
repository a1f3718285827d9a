"""Mask logits at the network's resolution, with the geometry that maps them back to the input image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wordmask.ops import masks
from wordmask.ops.geometry import axes, restore, restored_strips
from wordmask.ops.probability import logit, sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement, Size, Window
    from wordmask.ops.masks import PackedMask


@dataclass(frozen=True, eq=False, repr=False)
class MaskLogits:
    """A map of logits over a network's canvas.

    Attributes:
        values: float32 `(h, w)`, covering the whole canvas at any stride.
        placement: Position of the input image on the canvas.
    """

    values: NDArray[np.float32]
    placement: Placement

    @property
    def size(self) -> Size:
        """`(H, W)` of the input image."""
        return self.placement.size

    def probabilities(self) -> NDArray[np.float32]:
        """Return float32 `(H, W)` in [0, 1] at input size; computed at every call."""
        return sigmoid(restore(self.values, self.placement))

    def packed(self, threshold: float) -> PackedMask:
        """Return the mask of the pixels whose probability exceeds `threshold`, without building the full map."""
        return masks.threshold(self.values, self.placement, logit(threshold))

    def strips(self, window: Window) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield `(y, logits)` with logits `(rows, x1 - x0)` that cover `window` (x0, y0, x1, y1) from top to bottom."""
        return restored_strips(self.values, self.placement, window)

    def mean_probability(self, mask: PackedMask) -> float:
        """Return the mean probability of the pixels of a mask that is not empty.

        Pixels between the same two rows of cells are summed up first, whatever strips they were interpolated in.
        """
        inside, top = mask.crop(), mask.window[1]
        chosen = [strip[inside[y - top : y - top + len(strip)]] for y, strip in self.strips(mask.window)]
        values = sigmoid(np.concatenate(chosen)).astype(np.float64)  # row by row
        rows, _ = axes(self.placement, (self.values.shape[0], self.values.shape[1]))
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(inside, axis=1))])  # of each row in `values`
        firsts = np.unique(starts[rows.part(top, mask.window[3]).edges[:-1]])  # of each run that has pixels
        return float(np.add.reduceat(values, firsts[firsts < len(values)]).sum()) / mask.area

    def __repr__(self) -> str:
        height, width = self.values.shape
        return f"MaskLogits({height} x {width} cells, image {self.size[0]} x {self.size[1]})"
