"""Coloured outlines over a wider dark line, visible on any background."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from wordmask.formats.colours import INK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.formats.colours import Colour
    from wordmask.ops.masks import PackedMask

Lines: TypeAlias = "list[NDArray[np.int32]]"
"""Closed lines `(N, 2)`, x and y in sixteenths of a pixel."""

_BITS = 4  # binary digits behind the point of a coordinate
_CASING = 0.5  # opacity of the dark line


def contours(mask: PackedMask, *, smooth: float) -> Lines:
    """Return the borders of a mask and of its holes, each point averaged over about `1.5 * smooth` pixels each way."""
    found, _ = cv2.findContours(mask.crop().view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = np.array(mask.window[:2], dtype=np.float64)
    reach = max(1, round(1.5 * smooth))
    return [_fixed(_smoothed(np.asarray(line)[:, 0] + offset, reach)) for line in found]


def _smoothed(line: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Average each point of a closed line `(N, 2)` with its neighbours, fewer of them on short lines."""
    reach = min(reach, len(line) // 12)
    if reach < 1:
        return line
    padded = np.concatenate([line[-reach:], line, line[:reach]])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    span = 2 * reach + 1
    mean: NDArray[np.float64] = (sums[span:] - sums[:-span]) / span
    return mean


def _fixed(line: NDArray[np.float64]) -> NDArray[np.int32]:
    points: NDArray[np.int32] = np.rint(line * 2**_BITS).astype(np.int32)
    return points


def outline(canvas: NDArray[np.uint8], traced: Sequence[tuple[Lines, Colour]], width: float) -> None:
    """Draw closed lines on a canvas `(H, W, 3)`; every dark line lies under every coloured one."""
    thick, casing = round(width), np.zeros(canvas.shape[:2], dtype=np.uint8)
    for lines, _ in traced:
        cv2.polylines(casing, lines, True, 255, thick + 2 * max(1, round(width / 3)), cv2.LINE_AA, _BITS)
    _darken(canvas, casing)
    for lines, colour in traced:
        cv2.polylines(canvas, lines, True, colour, thick, cv2.LINE_AA, _BITS)


def pointer(
    canvas: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int], colour: Colour, width: float
) -> None:
    """Draw a line with a dot at its end."""
    thin, dot = max(1, round(0.7 * width)), max(2, round(1.3 * width))
    margin = dot + thin + 4
    x0, y0 = (max(0, min(pair) - margin) for pair in zip(start, end, strict=True))
    x1, y1 = (max(pair) + margin for pair in zip(start, end, strict=True))
    part = canvas[y0:y1, x0:x1]
    begin, finish = (start[0] - x0, start[1] - y0), (end[0] - x0, end[1] - y0)
    casing = np.zeros(part.shape[:2], dtype=np.uint8)
    cv2.line(casing, begin, finish, 255, thin + 2 * max(1, round(width / 4)), cv2.LINE_AA)
    cv2.circle(casing, finish, dot + max(1, round(width / 3)), 255, -1, cv2.LINE_AA)
    _darken(part, casing)
    cv2.line(canvas, start, end, colour, thin, cv2.LINE_AA)
    cv2.circle(canvas, end, dot, colour, -1, cv2.LINE_AA)


def _darken(canvas: NDArray[np.uint8], layer: NDArray[np.uint8]) -> None:
    """Blend ink into a canvas with the opacity `(H, W)`."""
    y, x = np.divmod(np.flatnonzero(layer > 0), layer.shape[1])
    opacity = (layer[y, x].astype(np.float32) * (_CASING / 255))[:, None]
    canvas[y, x] = (canvas[y, x] * (1 - opacity) + np.array(INK, dtype=np.float32) * opacity).astype(np.uint8)
