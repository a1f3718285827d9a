"""Positions and sizes of regions, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask


@dataclass(frozen=True, eq=False)
class RegionGeometry:
    """Where N regions of an image are.

    Attributes:
        size: `(H, W)` of the image.
        boxes: float64 `(N, 4)`, XYXY in pixels.
        centres: float64 `(N, 2)`, `(x, y)`: of the mask's pixels, or of the box where there is no mask.
        areas: float64 `(N,)`, in pixels.
    """

    size: Size
    boxes: NDArray[np.float64]
    centres: NDArray[np.float64]
    areas: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def of_masks(cls, masks: Sequence[PackedMask], size: Size) -> RegionGeometry:
        """Measure masks."""
        boxes = np.array([mask.window for mask in masks], dtype=np.float64).reshape(-1, 4)
        centres = np.array([_centre(mask) for mask in masks], dtype=np.float64).reshape(-1, 2)
        return cls(size, boxes, centres, np.array([mask.area for mask in masks], dtype=np.float64))

    @classmethod
    def of_boxes(cls, boxes: NDArray[np.floating] | Sequence[Sequence[float]], size: Size) -> RegionGeometry:
        """Measure boxes `(N, 4)`, XYXY in pixels."""
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        sides = (corners[:, 2:] - corners[:, :2]).clip(min=0)
        return cls(size, corners, (corners[:, :2] + corners[:, 2:]) / 2, sides.prod(axis=1))

    @property
    def widths(self) -> NDArray[np.float64]:
        """float64 `(N,)`, widths of the boxes in pixels."""
        widths: NDArray[np.float64] = self.boxes[:, 2] - self.boxes[:, 0]
        return widths

    @property
    def heights(self) -> NDArray[np.float64]:
        """float64 `(N,)`, heights of the boxes in pixels."""
        heights: NDArray[np.float64] = self.boxes[:, 3] - self.boxes[:, 1]
        return heights

    def take(self, rows: Sequence[int]) -> RegionGeometry:
        """Return some of the regions."""
        index = np.asarray(rows, dtype=np.intp)
        return RegionGeometry(self.size, self.boxes[index], self.centres[index], self.areas[index])


def _centre(mask: PackedMask) -> tuple[float, float]:
    """The mean position `(x, y)` of a mask's pixels; (0, 0) of an empty one."""
    if not mask.area:
        return 0.0, 0.0
    inside = mask.crop()
    x0, y0 = mask.window[:2]
    columns, rows = inside.sum(axis=0), inside.sum(axis=1)
    x = float((columns * np.arange(len(columns))).sum()) / mask.area + x0 + 0.5
    y = float((rows * np.arange(len(rows))).sum()) / mask.area + y0 + 0.5
    return x, y
