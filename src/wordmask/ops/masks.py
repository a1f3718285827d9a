"""Boolean masks stored as bits: pack, threshold, union, connected components, IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.ops.geometry import reach, restored_strips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement, Size, Window


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A boolean mask held as the bits of its bounding box: a 12-megapixel mask takes at most 1.5 MB.

    Attributes:
        size: `(H, W)` of the whole mask.
        window: Its bounding box `(x0, y0, x1, y1)`, the end exclusive; `(0, 0, 0, 0)` when nothing is set.
        bits: uint8, the window's rows from left to right, packed eight pixels to a byte.
        area: Number of pixels set.
    """

    size: Size
    window: Window
    bits: NDArray[np.uint8]
    area: int

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """XYXY in input pixels, None when the mask is empty."""
        x0, y0, x1, y1 = self.window
        return (float(x0), float(y0), float(x1), float(y1)) if self.area else None

    def crop(self) -> NDArray[np.bool_]:
        """Return bool `(y1 - y0, x1 - x0)`: the mask inside its window."""
        x0, _, x1, _ = self.window
        rows = np.unpackbits(self.bits, axis=1, count=x1 - x0) if self.area else np.zeros((0, 0), np.uint8)
        return rows.view(np.bool_)

    def full(self) -> NDArray[np.bool_]:
        """Return bool `(H, W)`: a new array at every call."""
        mask = np.zeros(self.size, dtype=np.bool_)
        x0, y0, x1, y1 = self.window
        mask[y0:y1, x0:x1] = self.crop()
        return mask


def pack(mask: NDArray[np.bool_], *, size: Size | None = None, offset: tuple[int, int] = (0, 0)) -> PackedMask:
    """Pack a mask, or a window of one.

    Args:
        mask: bool `(h, w)`.
        size: `(H, W)` of the whole mask when `mask` is a window of it.
        offset: `(x, y)` of the window's corner in the whole.
    """
    size = size or (mask.shape[0], mask.shape[1])
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return empty(size)
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    tight = mask[y0:y1, x0:x1]
    window = (x0 + offset[0], y0 + offset[1], x1 + offset[0], y1 + offset[1])
    return PackedMask(size, window, np.packbits(tight, axis=1), int(np.count_nonzero(tight)))


def subsample(mask: PackedMask, step: int) -> PackedMask:
    """Return every `step`-th pixel of every `step`-th row, `(ceil(H / step), ceil(W / step))`.

    A mask that lies between these pixels keeps one, so that nothing vanishes.
    """
    size = (-(-mask.size[0] // step), -(-mask.size[1] // step))
    if not mask.area:
        return empty(size)
    x0, y0 = mask.window[:2]
    left, top = -(-x0 // step), -(-y0 // step)
    part = mask.crop()[top * step - y0 :: step, left * step - x0 :: step]
    if not part.any():
        part, left, top = np.ones((1, 1), np.bool_), x0 // step, y0 // step
    return pack(part, size=size, offset=(left, top))


def empty(size: Size) -> PackedMask:
    """Return a mask of that size with nothing set."""
    return PackedMask(size, (0, 0, 0, 0), np.zeros((0, 0), np.uint8), 0)


def threshold(values: NDArray[np.float32], placement: Placement, cut: float) -> PackedMask:
    """Return `restore(values, placement) > cut` without building the restored map.

    Only the window that cells above `cut` can reach is interpolated, a strip of rows at a time.

    Args:
        values: float32 `(h, w)` over the whole canvas, at any stride.
        placement: How the image lies on the canvas.
        cut: Threshold in the unit of `values`.
    """
    window = reach(values > cut, placement)
    if window is None:
        return empty(placement.size)
    x0, y0, x1, y1 = window
    mask = np.empty((y1 - y0, x1 - x0), dtype=np.bool_)
    for top, strip in restored_strips(values, placement, window):
        np.greater(strip, cut, out=mask[top - y0 : top - y0 + len(strip)])
    return pack(mask, size=placement.size, offset=(x0, y0))


def union(masks: list[PackedMask]) -> PackedMask:
    """Return the union of one or more masks of the same size."""
    filled = [mask for mask in masks if mask.area]
    if len(filled) < 2:
        return filled[0] if filled else masks[0]
    corners = np.array([mask.window for mask in filled])
    x0, y0 = (int(value) for value in corners[:, :2].min(axis=0))
    x1, y1 = (int(value) for value in corners[:, 2:].max(axis=0))
    together = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    for mask in filled:
        left, top, right, bottom = mask.window
        together[top - y0 : bottom - y0, left - x0 : right - x0] |= mask.crop()
    return pack(together, size=filled[0].size, offset=(x0, y0))


def components(mask: PackedMask, *, min_area_ratio: float = 0.0) -> tuple[PackedMask, ...]:
    """Return the 8-connected parts of a mask, largest first.

    Args:
        mask: The mask to take apart.
        min_area_ratio: Parts with less than this fraction of the largest part's area are left out.
    """
    if not mask.area:
        return ()
    outlines = _outlines(mask.crop())
    if len(outlines) == 1:
        return (mask,)
    parts = dict(_parts(mask, outlines))
    least = min_area_ratio * max(part.area for part in parts.values())
    chosen = [index for index in sorted(parts) if parts[index].area >= least]
    return tuple(parts[index] for index in sorted(chosen, key=lambda index: -parts[index].area))


def _outlines(crop: NDArray[np.bool_]) -> list[NDArray[np.int32]]:
    """Return the outer outline of every part, points `(n, 1, 2)` as (x, y): they count parts faster than labels do."""
    outlines, tree = cv2.findContours(crop.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = np.asarray(tree)[0, :, 3].tolist()
    return [np.asarray(outline) for outline, parent in zip(outlines, parents, strict=True) if parent < 0]  # no holes


def _parts(mask: PackedMask, outlines: list[NDArray[np.int32]]) -> Iterator[tuple[int, PackedMask]]:
    """Yield each label with its part; the outlines tell where it is, since OpenCV's own statistics take far longer."""
    _, labels = cv2.connectedComponents(mask.crop().view(np.uint8), connectivity=8)
    for outline in outlines:
        x, y, width, height = cv2.boundingRect(outline)
        first_x, first_y = outline[0, 0].tolist()
        index = int(labels[first_y, first_x])
        part: NDArray[np.bool_] = labels[y : y + height, x : x + width] == index
        yield index, pack(part, size=mask.size, offset=(mask.window[0] + x, mask.window[1] + y))


def iou(first: PackedMask, second: PackedMask) -> float:
    """Return intersection over union of two masks of the same size; 1.0 when both are empty."""
    joint = intersection(first, second)
    whole = first.area + second.area - joint
    return joint / whole if whole else 1.0


def intersection(first: PackedMask, second: PackedMask) -> int:
    """Return the number of pixels that both masks set."""
    x0, y0 = max(first.window[0], second.window[0]), max(first.window[1], second.window[1])
    x1, y1 = min(first.window[2], second.window[2]), min(first.window[3], second.window[3])
    if x0 >= x1 or y0 >= y1:
        return 0
    parts = [
        mask.crop()[y0 - mask.window[1] : y1 - mask.window[1], x0 - mask.window[0] : x1 - mask.window[0]]
        for mask in (first, second)
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))
