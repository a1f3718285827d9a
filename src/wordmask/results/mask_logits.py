"""Mask logits at the network's resolution, with the geometry that maps them back to the input image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.ops import masks
from wordmask.ops.geometry import axes, reach, restore, restore_window, restored_strips
from wordmask.ops.probability import logit, sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement, Size, Window
    from wordmask.ops.masks import PackedMask

KEPT_PIXELS = 2**20
"""Pixels of a window whose logits are held (4 MiB) while a mask is made of them; larger ones are done in strips."""


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

    def parts(
        self, threshold: float, *, min_area_ratio: float
    ) -> tuple[PackedMask, tuple[tuple[PackedMask, float], ...]]:
        """Return `packed(threshold)` and its `masks.components`, each with its `mean_probability`.

        Logits of up to `KEPT_PIXELS` are interpolated once for all of them.
        """
        cut = logit(threshold)
        window = self.reach(cut)
        if window is None:
            return masks.empty(self.size), ()
        x0, y0, x1, y1 = window
        if (x1 - x0) * (y1 - y0) > KEPT_PIXELS:
            mask = self.packed(threshold)
            parts = masks.components(mask, min_area_ratio=min_area_ratio)
            return mask, tuple((part, self.mean_probability(part)) for part in parts)
        logits = self.restored(window)
        mask = masks.pack(logits > cut, size=self.size, offset=(x0, y0))
        parts = masks.components(mask, min_area_ratio=min_area_ratio)
        return mask, tuple((part, self._mean_inside(part, logits, (x0, y0))) for part in parts)

    def reach(self, cut: float) -> Window | None:
        """Return a window `(x0, y0, x1, y1)` outside which no logit exceeds `cut`, or None."""
        return reach(self.values > cut, self.placement)

    def restored(self, window: Window) -> NDArray[np.float32]:
        """Return the logits `(y1 - y0, x1 - x0)` of a window."""
        return restore_window(self.values, self.placement, window)

    def strips(self, window: Window) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield `(y, logits)` with logits `(rows, x1 - x0)` that cover `window` (x0, y0, x1, y1) from top to bottom."""
        return restored_strips(self.values, self.placement, window)

    def mean_probability(self, mask: PackedMask) -> float:
        """Return the mean probability of the pixels of a mask that is not empty.

        Pixels between the same two rows of cells are summed up first, whatever strips they were interpolated in.
        """
        inside, top = mask.crop(), mask.window[1]
        chosen = [strip[inside[y - top : y - top + len(strip)]] for y, strip in self.strips(mask.window)]
        return self._mean_of(np.concatenate(chosen), inside, mask)

    def _mean_inside(self, mask: PackedMask, logits: NDArray[np.float32], corner: tuple[int, int]) -> float:
        """`mean_probability` from logits `(h, w)` of a window that starts at `corner` (x, y) and holds the mask's."""
        (left, top, right, bottom), (x, y), inside = mask.window, corner, mask.crop()
        return self._mean_of(logits[top - y : bottom - y, left - x : right - x][inside], inside, mask)

    def _mean_of(self, logits: NDArray[np.float32], inside: NDArray[np.bool_], mask: PackedMask) -> float:
        """`mean_probability` from the logits `(N,)` of the pixels that `inside` sets, row by row."""
        values, top = sigmoid(logits).astype(np.float64), mask.window[1]
        rows, _ = axes(self.placement, (self.values.shape[0], self.values.shape[1]))
        counts = cv2.reduce(inside.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        starts = np.concatenate([[0], np.cumsum(counts)])  # of each row in `values`
        firsts = starts[rows.part(top, mask.window[3]).edges[:-1]]  # of each run of rows
        firsts = firsts[(firsts < len(values)) & (np.diff(firsts, append=len(values)) > 0)]  # that has pixels
        return float(np.add.reduceat(values, firsts).sum()) / mask.area

    def __repr__(self) -> str:
        height, width = self.values.shape
        return f"MaskLogits({height} x {width} cells, image {self.size[0]} x {self.size[1]})"
