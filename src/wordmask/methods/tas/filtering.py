"""Filters of mask proposals: small masks, and masks that repeat others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from wordmask.settings import Choices, Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.ops.masks import PackedMask

__all__ = ["MaskFilter", "filter_masks"]


@dataclass(frozen=True)
class MaskFilter(Settings):
    """Which proposals are kept.

    Attributes:
        min_area: Smallest area in pixels; the authors take 2000.
        min_fraction: Smallest area as a fraction of the image; with it, `min_area` does not count. 0: not used.
        max_overlap: Of two masks that overlap more than this, the smaller one is dropped; the authors take 0.4.
        relative_to: What the intersection is divided by: the "smaller" area (the authors), or the "union".
    """

    min_area: int = 2000
    min_fraction: float = 0.0
    max_overlap: float = 0.4
    relative_to: str = "smaller"

    ranges: ClassVar[Ranges] = {"min_area": (0, 1e9), "min_fraction": (0, 1), "max_overlap": (0, 1)}
    choices: ClassVar[Choices] = {"relative_to": ("smaller", "union")}

    def smallest(self, pixels: int) -> float:
        """Return the smallest area, in pixels, of a mask in an image of that many."""
        return self.min_fraction * pixels if self.min_fraction else self.min_area


def filter_masks(masks: Sequence[PackedMask], settings: MaskFilter | None = None) -> list[int]:
    """Return the indices of the masks that are kept, in order.

    As the authors do, every pair of masks that are large enough is compared, those already dropped included: a chain of
    overlapping masks keeps its largest one alone. Of equal areas the later one is dropped.
    """
    settings = settings or MaskFilter()
    large = [
        index
        for index, mask in enumerate(masks)
        if mask.area and mask.area >= settings.smallest(mask.size[0] * mask.size[1])
    ]
    crops = {index: masks[index].crop() for index in large}
    dropped: set[int] = set()
    for place, first in enumerate(large):
        for second in large[place + 1 :]:
            smaller = second if masks[second].area <= masks[first].area else first
            if smaller not in dropped and _overlap(masks, crops, first, second, settings) > settings.max_overlap:
                dropped.add(smaller)
    return [index for index in large if index not in dropped]


def _overlap(
    masks: Sequence[PackedMask], crops: dict[int, NDArray[np.bool_]], first: int, second: int, settings: MaskFilter
) -> float:
    """The intersection of two masks, divided as the settings say."""
    one, other = masks[first], masks[second]
    x0, y0 = max(one.window[0], other.window[0]), max(one.window[1], other.window[1])
    x1, y1 = min(one.window[2], other.window[2]), min(one.window[3], other.window[3])
    if x0 >= x1 or y0 >= y1:
        return 0.0
    parts = [
        crops[index][y0 - mask.window[1] : y1 - mask.window[1], x0 - mask.window[0] : x1 - mask.window[0]]
        for index, mask in ((first, one), (second, other))
    ]
    joint = int(np.count_nonzero(parts[0] & parts[1]))
    whole = min(one.area, other.area) if settings.relative_to == "smaller" else one.area + other.area - joint
    return joint / whole
