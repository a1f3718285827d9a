"""Mask logits that are finer in some windows of the image than elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordmask.ops import masks
from wordmask.ops.crops import view_axes
from wordmask.ops.geometry import interpolated_strips
from wordmask.ops.probability import logit, sigmoid
from wordmask.results.mask_logits import MaskLogits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wordmask.ops.crops import CropView
    from wordmask.ops.geometry import Window
    from wordmask.ops.masks import PackedMask

__all__ = ["FinePatch", "RefinedLogits"]


@dataclass(frozen=True, eq=False)
class FinePatch:
    """Logits of one window of the image, at the scale of a crop.

    Attributes:
        values: float16 or float32 `(h, w)`, as large as `view.size`.
        view: The rectangle that they cover.
        window: `(x0, y0, x1, y1)` in image pixels: where they hold.
    """

    values: NDArray[np.float16] | NDArray[np.float32]
    view: CropView
    window: Window

    def strips(self, window: Window) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield `(y, logits)` that cover a window inside this one, from top to bottom."""
        rows, columns = view_axes(self.view, self.window)
        left, top = self.window[:2]
        rows, columns = rows.part(window[1] - top, window[3] - top), columns.part(window[0] - left, window[2] - left)
        for row, strip in interpolated_strips(self.values, rows, columns):
            yield window[1] + row, strip


@dataclass(frozen=True, eq=False, repr=False)
class RefinedLogits(MaskLogits):
    """A coarse map of logits, replaced by finer ones in the windows of its patches.

    Attributes:
        patches: They hold in order: where two overlap, the later.
    """

    patches: tuple[FinePatch, ...] = field(default=())

    def probabilities(self) -> NDArray[np.float32]:
        """Return float32 `(H, W)` in [0, 1] at input size; computed at every call."""
        height, width = self.size
        return sigmoid(self.restored((0, 0, width, height)))

    def packed(self, threshold: float) -> PackedMask:
        """Return the mask of the pixels whose probability exceeds `threshold`."""
        cut = logit(threshold)
        window = self.reach(cut)
        if window is None:
            return masks.empty(self.size)
        return masks.pack(self.restored(window) > cut, size=self.size, offset=window[:2])

    def reach(self, cut: float) -> Window | None:
        """Return a window `(x0, y0, x1, y1)` outside which no logit exceeds `cut`, or None."""
        coarse = super().reach(cut)
        windows = [patch.window for patch in self.patches] + ([] if coarse is None else [coarse])
        if not windows:
            return None
        x0, y0 = (min(window[side] for window in windows) for side in (0, 1))
        x1, y1 = (max(window[side] for window in windows) for side in (2, 3))
        return x0, y0, x1, y1

    def strips(self, window: Window) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield `(y, logits)` with logits `(rows, x1 - x0)` that cover `window` (x0, y0, x1, y1) from top to bottom."""
        x0, _, x1, _ = window
        for y, strip in super().strips(window):
            rows = strip.copy()
            for patch in self.patches:
                _overwrite(rows, patch, (x0, y, x1, y + len(rows)))
            yield y, rows

    def restored(self, window: Window) -> NDArray[np.float32]:
        """Return the logits `(y1 - y0, x1 - x0)` of a window."""
        values = super().restored(window)
        for patch in self.patches:
            _overwrite(values, patch, window)
        return values

    def __repr__(self) -> str:
        return f"Refined{super().__repr__()[:-1]}, {len(self.patches)} finer windows)"


def _overwrite(values: NDArray[np.float32], patch: FinePatch, window: Window) -> None:
    """Write a patch into the logits of a window."""
    x0, y0 = max(window[0], patch.window[0]), max(window[1], patch.window[1])
    x1, y1 = min(window[2], patch.window[2]), min(window[3], patch.window[3])
    if x0 >= x1 or y0 >= y1:
        return
    for y, strip in patch.strips((x0, y0, x1, y1)):
        values[y - window[1] : y - window[1] + len(strip), x0 - window[0] : x1 - window[0]] = strip
