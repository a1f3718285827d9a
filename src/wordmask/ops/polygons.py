"""Filling polygons exactly as COCO's own tool does, pixel for pixel.

The tool (pycocotools) walks along the edges on a grid five times as fine, notes where the walk changes its column, and
lets every such crossing that lies in the middle of a pixel's column turn inside into outside below it. Its rounding
decides single pixels along the border; published scores on RefCOCO are against truths made this way.

Here only those crossings are computed, and only for columns of the image: time and memory follow the image's size and
the number of corners, however far outside the corners lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["FARTHEST", "fill_as_coco"]

FARTHEST = 1e9
"""Largest coordinate, in pixels, whose walk is computed exactly; larger ones are cut to it."""

_FINER = 5
_MIDDLE = 2  # fine column after which the middle of a pixel lies
_AT_ONCE = 1 << 18  # crossings computed at once
_NEAR = np.arange(-2, 3)  # steps around the one that real numbers give: rounding moves it by one at most


def fill_as_coco(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return bool `(H, W)`, equal to pycocotools' `decode(merge(frPyObjects(...)))` of one polygon.

    Args:
        points: float `(N, 2)`, x and y in pixels, finite; the last is joined to the first.
        size: `(H, W)`.
    """
    height, width = size
    corners = np.trunc(_FINER * np.clip(points, -FARTHEST, FARTHEST) + 0.5).astype(np.int64)
    edges = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)  # (N, 4): x, y, x, y
    # Columns c whose middle lies between the ends: min(x) <= 5 c + 2 < max(x).
    first = np.maximum(-((_MIDDLE - edges[:, 0::2].min(axis=1)) // _FINER), 0)
    last = np.minimum(-((_MIDDLE - edges[:, 0::2].max(axis=1)) // _FINER), width)  # exclusive
    crossing = last > first
    edges, first, last = edges[crossing], first[crossing], last[crossing]
    mask = np.zeros(size, dtype=np.bool_)
    if not len(edges):
        return mask
    left, right = int(first.min()), int(last.max())
    turns = np.zeros((right - left) * height + 1, dtype=np.uint8)
    for chosen, column in _in_parts(first, last):
        row = (_rows(edges[chosen], _FINER * column + _MIDDLE) + 0.5) / _FINER - 0.5
        place = (column - left) * height + np.ceil(row.clip(0, height)).astype(np.int64)
        places, counts = np.unique(place, return_counts=True)
        turns[places] ^= (counts & 1).astype(np.uint8)
    inside = np.bitwise_xor.accumulate(turns[:-1]).reshape(right - left, height)
    mask[:, left:right] = inside.T
    return mask


def _in_parts(
    first: NDArray[np.int64], last: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield edges and the columns that they cross, an edge as often as it crosses one, some crossings at a time."""
    counts = last - first
    ends = np.cumsum(counts)
    for start in range(0, int(ends[-1]), _AT_ONCE):
        number = np.arange(start, min(start + _AT_ONCE, int(ends[-1])))
        edge = np.searchsorted(ends, number, side="right")
        yield edge, first[edge] + number - (ends - counts)[edge]


def _rows(edges: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fine rows in which walks along edges `(M, 4)` go from a fine column `(M,)` to the next."""
    start, stop = edges[:, :2], edges[:, 2:]
    steep = np.abs(stop[:, 1] - start[:, 1]) > np.abs(stop[:, 0] - start[:, 0])
    axis = steep.astype(np.int64)  # the walk takes unit steps along x, or along y where the edge is steep
    each = np.arange(len(edges))
    backwards = (start[each, axis] > stop[each, axis])[:, None]  # it is rounded as from its lower end
    low, high = np.where(backwards, stop, start), np.where(backwards, start, stop)
    length = high[each, axis] - low[each, axis]
    slope = (high[each, 1 - axis] - low[each, 1 - axis]) / length
    rows = np.empty(len(edges), dtype=np.int64)
    flat = ~steep
    step = column[flat] - low[flat, 0]
    one, two = (_across(low[flat, 1], slope[flat], step + more) for more in (0, 1))
    rows[flat] = np.minimum(one, two).astype(np.int64)
    rows[steep] = low[steep, 1] + _last_step(low[steep, 0], slope[steep], length[steep], column[steep])
    return rows


def _last_step(
    low: NDArray[np.int64], slope: NDArray[np.float64], length: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the last step `(M,)` of steep walks before they pass between `column` and the next."""
    about = np.ceil((column + 0.5 - low) / slope).astype(np.int64)
    steps = np.clip(about[:, None] + _NEAR, 1, length[:, None])  # (M, 5)
    reached = _across(low[:, None], slope[:, None], steps)
    passed = np.where(slope[:, None] > 0, reached > column[:, None], reached <= column[:, None])
    return np.take_along_axis(steps, passed.argmax(axis=1)[:, None], axis=1)[:, 0] - 1


def _across(low: NDArray[np.int64], slope: NDArray[np.float64], step: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the coordinate that a walk has after some unit steps along its other axis."""
    across: NDArray[np.float64] = np.trunc(low + slope * step + 0.5)
    return across
