"""Position of an image on a network's canvas, and mapping of feature cells back to input pixels.

Pixels are areas: pixel `i` of `n` covers `[i, i + 1)` and has its centre at `i + 0.5` (torch's
`align_corners=False`). All interpolation here is bilinear with clamped borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Size: TypeAlias = "tuple[int, int]"
"""`(height, width)`."""
Window: TypeAlias = "tuple[int, int, int, int]"
"""`(x0, y0, x1, y1)` in whole pixels, the end exclusive."""

LONG_RUN = 16
"""Rows between the same two rows of cells from which they are worth a strip of their own."""
AXES_KEPT = 64
"""Axes that are kept between calls; one of a 12-megapixel image takes about 80 KB."""
STRIP_PIXELS = 32_768
"""Pixels that strips of several runs have at most; their float32 values and differences stay in the cache."""


WHOLE_PIXELS = 2**18
"""Pixels (1 MiB) up to which a window is interpolated in one piece."""


@dataclass(frozen=True)
class Placement:
    """Position of an input image on a network's canvas.

    Attributes:
        size: `(H, W)` of the input image.
        canvas: `(height, width)` of what the network sees.
        content: `(top, left, height, width)`: the rectangle of the canvas that the image fills; the rest is padding.
            Where the canvas holds a crop, the rectangle reaches beyond it (`crop`); input pixels outside read the
            nearest cell.
    """

    size: Size
    canvas: Size
    content: tuple[int, int, int, int]


def squash(size: Size, canvas: Size) -> Placement:
    """Stretch the image over the whole canvas; the aspect ratio changes."""
    return Placement(size, canvas, (0, 0, *canvas))


def letterbox(size: Size, canvas: Size) -> Placement:
    """Scale the image to fit the canvas at its own aspect ratio, at the top left; the rest is padding."""
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    height = min(canvas[0], max(1, round(size[0] * scale)))
    width = min(canvas[1], max(1, round(size[1] * scale)))
    return Placement(size, canvas, (0, 0, height, width))


def crop(placement: Placement, window: Window, size: Size) -> Placement:
    """Return the position of a whole image of which the canvas holds a window.

    Args:
        placement: Position of the window on the canvas, as if it were an image.
        window: The window, in pixels of the image.
        size: `(H, W)` of the image.

    Returns:
        A placement that is exact to half a unit of the canvas.
    """
    top, left, height, width = placement.content
    down, across = height / placement.size[0], width / placement.size[1]
    content = (top - window[1] * down, left - window[0] * across, size[0] * down, size[1] * across)
    return Placement(
        size, placement.canvas, (round(content[0]), round(content[1]), round(content[2]), round(content[3]))
    )


def restore(values: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Map values from the canvas back to the input image.

    Args:
        values: float32 `(h, w)`, covering the whole canvas at any stride.
        placement: Position of the image on the canvas.

    Returns:
        float32 `(H, W)`: the content region, bilinearly interpolated. For a squashed image this equals torch's
        `interpolate(..., mode="bilinear", align_corners=False)`. Cells that hold nothing but padding are never read.
    """
    height, width = placement.size
    return restore_window(values, placement, (0, 0, width, height))


def restore_window(values: NDArray[np.float32], placement: Placement, window: Window) -> NDArray[np.float32]:
    """Return `restore(values, placement)[y0:y1, x0:x1]` without making the rest."""
    x0, y0, x1, y1 = window
    if 0 < (x1 - x0) * (y1 - y0) <= WHOLE_PIXELS:
        rows, columns = axes(placement, np.shape(values))
        return _interpolated(values, rows.part(y0, y1), columns.part(x0, x1))
    result = np.empty((y1 - y0, x1 - x0), dtype=np.float32)
    for top, strip in restored_strips(values, placement, window):
        result[top - y0 : top - y0 + len(strip)] = strip
    return result


def restored_strips(
    values: NDArray[np.float32], placement: Placement, window: Window
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield `(y, rows)` that make up a window from top to bottom, each small enough to stay in the cache.

    A window's values equal those of the whole map bit for bit.
    """
    x0, y0, x1, y1 = window
    rows, columns = axes(placement, np.shape(values))
    for start, strip in interpolated_strips(values, rows.part(y0, y1), columns.part(x0, x1)):
        yield y0 + start, strip


def interpolated_strips(
    values: NDArray[np.floating[Any]], rows: Axis, columns: Axis
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield `(row, strip)` of the pixels of two axes from top to bottom.

    A strip lies between the same two rows of cells or, where these are near one another, holds several such runs: a
    call for each would take longer than its pixels.

    Args:
        values: `(h, w)` of any float type.
        rows: How the pixels' rows read from it.
        columns: How their columns do.
    """
    count = len(rows.first)
    if not count:  # an empty mask's window
        return
    top = int(rows.first.min())
    used = values[top : int(rows.second.max()) + 1]
    wide = _widened(used, columns)  # (h, x1 - x0)
    for start, stop in _joined(rows.edges, wide.shape[1]):
        weight = rows.weight[start:stop, None]
        if rows.first[start] == rows.first[stop - 1] and rows.second[start] == rows.second[stop - 1]:
            base = wide[rows.first[start] - top]
            yield start, base + weight * (wide[rows.second[start] - top] - base)
        else:
            yield start, _between(wide, rows.first[start:stop] - top, rows.second[start:stop] - top, weight)


def _interpolated(values: NDArray[np.floating[Any]], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """Return the pixels of two axes that are not empty, in one piece."""
    top = int(rows.first.min())
    wide = _widened(values[top : int(rows.second.max()) + 1], columns)
    pixels = _between(wide, rows.first - top, rows.second - top, rows.weight[:, None])
    return pixels.astype(np.float32, copy=False)


def _between(
    values: NDArray[np.floating[Any]], first: NDArray[np.intp], second: NDArray[np.intp], weight: NDArray[np.float32]
) -> NDArray[np.floating[Any]]:
    """Interpolate between rows of values (N, w): (n, w)."""
    base = values.take(first, axis=0)
    steps = values.take(second, axis=0)
    steps -= base
    steps *= weight
    steps += base
    return steps


def _widened(values: NDArray[np.floating[Any]], columns: Axis) -> NDArray[np.floating[Any]]:
    """Interpolate rows `(h, w)` along one axis: `(h, x1 - x0)`, float32 but for float64 values.

    Whole rows of the transposed map are read: a fifth of the time that reading its columns one by one takes.
    """
    exact = values if values.dtype == np.float64 else values.astype(np.float32, copy=False)
    return _turned(_between(_turned(exact), columns.first, columns.second, columns.weight[:, None]))


def _turned(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Transpose a map `(h, w)`; OpenCV does so in a quarter of NumPy's time."""
    if values.dtype != np.float32:
        return np.ascontiguousarray(values.T)
    turned: NDArray[np.float32] = np.asarray(cv2.transpose(values), dtype=np.float32)
    return turned


def _joined(edges: NDArray[np.intp], width: int) -> Iterator[tuple[int, int]]:
    """Join short runs of rows that follow one another, up to `STRIP_PIXELS`; run `i` is `[edges[i], edges[i + 1])`."""
    most = max(1, STRIP_PIXELS // max(1, width))
    lengths = np.diff(edges)
    apart = np.minimum(lengths[1:], lengths[:-1]) >= LONG_RUN  # whether run i + 1 starts a strip of its own
    forced = np.append(np.flatnonzero(apart) + 1, len(lengths))
    start = 0
    while start < len(lengths):
        full = int(np.searchsorted(edges, edges[start] + most, side="right")) - 1
        stop = min(max(full, start + 1), int(forced[np.searchsorted(forced, start, side="right")]))
        yield int(edges[start]), int(edges[stop])
        start = stop


def reach(cells: NDArray[np.bool_], placement: Placement) -> Window | None:
    """Return the smallest window of the input outside which no pixel is interpolated from any of `cells`, or None.

    Bilinear values lie between those of their four cells, so with `cells = values > t` every input pixel above `t`
    is inside.

    Args:
        cells: bool `(h, w)` over the whole canvas.
        placement: Position of the image on the canvas.
    """
    rows, columns = axes(placement, cells.shape)
    vertical = rows.touched(np.asarray(cells.any(axis=1)))
    horizontal = columns.touched(np.asarray(cells.any(axis=0)))
    if vertical is None or horizontal is None:
        return None
    return horizontal[0], vertical[0], horizontal[1], vertical[1]


@dataclass(frozen=True, eq=False)
class Axis:
    """Linear interpolation along one axis: pixel `i` is `v[first] + weight * (v[second] - v[first])`.

    Attributes:
        first, second: int `(n,)`, indices of neighbouring cells; equal at the clamped borders.
        weight: float32 `(n,)` in [0, 1).
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    weight: NDArray[np.float32]

    def part(self, start: int, stop: int) -> Axis:
        """Return the pixels `[start, stop)`."""
        if (start, stop) == (0, len(self.first)):
            return self
        return Axis(self.first[start:stop], self.second[start:stop], self.weight[start:stop])

    @cached_property
    def edges(self) -> NDArray[np.intp]:
        """Where each run of pixels between the same two cells starts, and the number of pixels."""
        changes = np.flatnonzero(np.diff(self.first) | np.diff(self.second)) + 1
        return np.concatenate([[0], changes, [len(self.first)]]).astype(np.intp)

    def touched(self, cells: NDArray[np.bool_]) -> tuple[int, int] | None:
        """Return the pixel range that reads from any of the `cells` (bool over the axis), or None."""
        pixels = np.flatnonzero(cells[self.first] | cells[self.second])
        return (int(pixels[0]), int(pixels[-1]) + 1) if len(pixels) else None


def axes(placement: Placement, cells: Size) -> tuple[Axis, Axis]:
    """Return how rows and columns of the input read from a map of `cells = (h, w)` over the canvas."""
    top, left, height, width = placement.content
    rows = axis(placement.size[0], top, height, cells[0], placement.canvas[0])
    columns = axis(placement.size[1], left, width, cells[1], placement.canvas[1])
    return rows, columns


@lru_cache(AXES_KEPT)
def axis(pixels: int, offset: float, length: float, cells: int, canvas: float) -> Axis:
    """Map `pixels` input pixels over `[offset, offset + length)` of `canvas` units held by `cells` cells.

    The arrays are shared between calls, and read-only.
    """
    stride = canvas / cells
    start, end = offset / stride, (offset + length) / stride  # in cells, fractional
    lowest = min(max(0, int(start + 1e-9)), cells - 1)  # an image may reach beyond the canvas: a crop
    highest = max(lowest, min(int(np.ceil(end - 1e-9)), cells) - 1)
    centres = start + (np.arange(pixels) + 0.5) * ((end - start) / pixels) - 0.5
    centres = centres.clip(lowest, highest)
    first = centres.astype(np.intp)
    second = np.minimum(first + 1, highest)
    weight = (centres - first).astype(np.float32)
    for array in (first, second, weight):
        array.setflags(write=False)
    return Axis(first, second, weight)
