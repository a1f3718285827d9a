"""Windows of an image round the connected parts of a coarse mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from wordmask.backbones.crop.inputs import working_scale
from wordmask.ops.crops import CropView

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size, Window

__all__ = ["WindowSettings", "border_tiles", "part_boxes", "region_windows"]

TILE = 256
"""Side of a tile in crop pixels."""
_RIM = 32
"""Crop pixels at the sides of a tile that are drawn for their neighbourhood alone."""
_SMALLEST_PART = 0.01
"""Parts smaller than this fraction of the largest get no window of their own."""


class WindowSettings(Protocol):
    """The part of a refiner's settings that decides about windows; attributes as in `components.refiner`."""

    @property
    def margin(self) -> float: ...
    @property
    def least_margin(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def most_windows(self) -> int: ...


def part_boxes(mask: NDArray[np.bool_], size: Size) -> list[tuple[float, float, float, float]]:
    """Return the boxes XYXY, in image pixels, of the 8-connected parts of a mask, largest first.

    Args:
        mask: bool `(h, w)` over the image, at any stride.
        size: `(H, W)` of the image.
    """
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    down, across = size[0] / mask.shape[0], size[1] / mask.shape[1]
    parts = sorted(range(1, count), key=lambda part: -int(areas[part]))
    least = _SMALLEST_PART * max((int(areas[part]) for part in parts[:1]), default=0)
    boxes = []
    for part in parts:
        x, y, w, h = (float(v) for v in stats[part, :4])
        if areas[part] >= least:
            boxes.append((x * across, y * down, (x + w) * across, (y + h) * down))
    return boxes


def region_windows(mask: NDArray[np.bool_], size: Size, *, settings: WindowSettings) -> list[tuple[Window, float]]:
    """Return windows in whole image pixels that cover a mask, each with the longer side of the regions in it.

    Windows that overlap become one; so do all where there are too many.

    Args:
        mask: bool `(h, w)` over the image, at any stride.
        size: `(H, W)` of the image.
        settings: Margins and limits.
    """
    entries = [(_window(box, size, settings), _long(box)) for box in part_boxes(mask, size)]
    if len(entries) > settings.most_windows:
        entries = [(_joined([window for window, _ in entries]), max(long for _, long in entries))]
    merged = True
    while merged:
        merged = False
        for i in range(len(entries)):
            for j in range(i + 1, len(entries)):
                if _overlap(entries[i][0], entries[j][0]):
                    both = _joined([entries[i][0], entries[j][0]])
                    entries[i] = (both, max(entries[i][1], entries[j][1]))
                    del entries[j]
                    merged = True
                    break
            if merged:
                break
    return [(window, _side(window, long, settings)) for window, long in entries]


def border_tiles(mask: NDArray[np.bool_], view: CropView, size: Size, *, most: int) -> list[tuple[CropView, Window]]:
    """Return tiles at up to four times the scale of a view that cover the border of the mask on it.

    None where the view shows the image at its own resolution, or nearly; a smaller scale where there would be too many.

    Args:
        mask: bool `(h, w)` over the view.
        view: What was drawn.
        size: `(H, W)` of the image.
        most: Tiles at most.

    Returns:
        For each tile its view and the window, in image pixels, in which it holds.
    """
    for factor in (4.0, 2.0):
        scale = min(1.0, factor * view.scale)
        if scale < 1.4 * view.scale:
            continue
        tiles = _tiles(mask, view, size, scale)
        if len(tiles) <= most:
            return tiles
    return []


def _tiles(mask: NDArray[np.bool_], view: CropView, size: Size, scale: float) -> list[tuple[CropView, Window]]:
    core = (TILE - 2 * _RIM) / scale  # image pixels
    tiles = []
    height, width = (side / view.scale for side in view.size)
    for row in range(int(np.ceil(height / core))):
        for column in range(int(np.ceil(width / core))):
            left, top = column * core, row * core
            cells = mask[
                int(top * view.scale) : int((top + core) * view.scale) + 1,
                int(left * view.scale) : int((left + core) * view.scale) + 1,
            ]
            if not cells.any() or cells.all():
                continue
            rim = _RIM / scale
            tile = CropView(view.left + left - rim, view.top + top - rim, scale, (TILE, TILE))
            inner = CropView(view.left + left, view.top + top, 1 / core, (1, 1))
            tiles.append((tile, inner.window(size)))
    return tiles


def _side(window: Window, long: float, settings: WindowSettings) -> float:
    """The longer side that decides the scale: that of the regions, or of a window that is far longer than they."""
    return max(long, max(window[2] - window[0], window[3] - window[1]) / (1 + 3 * settings.margin))


def _window(box: tuple[float, float, float, float], size: Size, settings: WindowSettings) -> Window:
    long = _long(box)
    margin = max(settings.margin * long, settings.least_margin / working_scale(long, longest=settings.longest))
    x0, y0, x1, y1 = box
    return (
        max(0, int(x0 - margin)), max(0, int(y0 - margin)),
        min(size[1], int(x1 + margin) + 1), min(size[0], int(y1 + margin) + 1),
    )  # fmt: skip


def _long(box: tuple[float, float, float, float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _joined(windows: list[Window]) -> Window:
    return (
        min(w[0] for w in windows), min(w[1] for w in windows), max(w[2] for w in windows), max(w[3] for w in windows)
    )  # fmt: skip


def _overlap(first: Window, second: Window) -> bool:
    return min(first[2], second[2]) > max(first[0], second[0]) and min(first[3], second[3]) > max(first[1], second[1])
