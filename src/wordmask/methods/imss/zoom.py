"""Windows round small boxes, which are segmented at the image's own resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.ops.geometry import crop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement, Size, Window
    from wordmask.results.region import Box

__all__ = ["OUTSIDE", "merge_windows", "paste", "zoom_window"]

OUTSIDE = -10.0
"""Logit outside a window."""


def zoom_window(box: Box, size: Size, *, scale: float = 1.6, shortest: int = 128) -> Window:
    """Return the square window round a box, moved inside the image; it is cut where the image is smaller.

    Args:
        box: XYXY in input pixels.
        size: `(H, W)` of the image.
        scale: Side of the window, as a multiple of the longer side of the box.
        shortest: Shortest side in pixels.
    """
    side = max(scale * max(box[2] - box[0], box[3] - box[1]), shortest)
    length = max(1, round(side))
    x0, x1 = _span((box[0] + box[2]) / 2, length, size[1])
    y0, y1 = _span((box[1] + box[3]) / 2, length, size[0])
    return x0, y0, x1, y1


def merge_windows(windows: Sequence[Window], size: Size) -> list[Window]:
    """Return, for each window, the one that stands for it: windows closer than half a side share a larger square.

    Args:
        windows: One for each region.
        size: `(H, W)` of the image.
    """
    merged = list(windows)
    for index, window in enumerate(windows):
        for other in range(index):
            if _near(merged[other], window):
                old = merged[other]
                union = _square(_union(old, window), size)
                merged[: index + 1] = [union if one in (old, window) else one for one in merged[: index + 1]]
                break
    return merged


def paste(
    logits: NDArray[np.float32], placement: Placement, window: Window, size: Size
) -> tuple[NDArray[np.float32], Placement]:
    """Return logits of a window as logits of the whole image, `OUTSIDE` beyond the window.

    Args:
        logits: float32 `(h, w)` over the window's canvas.
        placement: Position of the window on it, as if it were an image.
        window: The window in pixels of the image.
        size: `(H, W)` of the image.

    Returns:
        The logits, whose outermost cells are `OUTSIDE` where the image goes on, and the image's placement.
    """
    framed = logits.copy()
    rows = -(-placement.content[2] * logits.shape[0] // placement.canvas[0])
    columns = -(-placement.content[3] * logits.shape[1] // placement.canvas[1])
    x0, y0, x1, y1 = window
    if y0 > 0:
        framed[0] = OUTSIDE
    if x0 > 0:
        framed[:, 0] = OUTSIDE
    if y1 < size[0]:
        framed[rows - 1 :] = OUTSIDE
    if x1 < size[1]:
        framed[:, columns - 1 :] = OUTSIDE
    return framed, crop(placement, window, size)


def _span(centre: float, length: int, whole: int) -> tuple[int, int]:
    if length >= whole:
        return 0, whole
    start = min(max(0, round(centre - length / 2)), whole - length)
    return start, start + length


def _near(first: Window, second: Window) -> bool:
    """Whether centres are closer than half the longer side."""
    side = max(first[2] - first[0], second[2] - second[0], first[3] - first[1], second[3] - second[1])
    centres = [((one[0] + one[2]) / 2, (one[1] + one[3]) / 2) for one in (first, second)]
    return max(abs(centres[0][0] - centres[1][0]), abs(centres[0][1] - centres[1][1])) < side / 2


def _union(first: Window, second: Window) -> Window:
    return (
        min(first[0], second[0]), min(first[1], second[1]), max(first[2], second[2]), max(first[3], second[3])
    )  # fmt: skip


def _square(window: Window, size: Size) -> Window:
    box = tuple(float(side) for side in window)
    return zoom_window((box[0], box[1], box[2], box[3]), size, scale=1.0, shortest=1)
