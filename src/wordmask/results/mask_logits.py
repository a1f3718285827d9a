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


_SUMMED_AT_ONCE = 8192
"""Numbers that NumPy converts at once: so many have one sum, whether they are converted before or by the way."""


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
        values = sigmoid(np.concatenate(chosen))  # float32, row by row
        exact = values.astype(np.float64)
        rows, _ = axes(self.placement, (self.values.shape[0], self.values.shape[1]))
        ends = np.cumsum(np.count_nonzero(inside, axis=1)).tolist()
        total, first = 0.0, 0
        for _, stop in rows.part(top, mask.window[3]).runs(0, len(inside)):
            last = ends[stop - 1]
            if last - first <= _SUMMED_AT_ONCE:
                total += float(np.add.reduce(exact[first:last]))
            else:
                total += float(values[first:last].sum(dtype=np.float64))
            first = last
        return total / mask.area

    def __repr__(self) -> str:
        height, width = self.values.shape
        return f"MaskLogits({height} x {width} cells, image {self.size[0]} x {self.size[1]})"
