"""Size classes of targets, by their share of the image's pixels."""

from __future__ import annotations

SIZES = {"tiny": "< 0.25 %", "small": "0.25-1 %", "medium": "1-4 %", "large": "> 4 %", "absent": "no target"}
"""Size classes and their ranges; a share of exactly 0.25 % is small, 1 % and 4 % are medium."""


def size_of(area: int, pixels: int) -> str:
    """Return the size class of a target of `area` pixels in an image of `pixels`; in whole numbers, so exact."""
    if not area:
        return "absent"
    if 400 * area < pixels:
        return "tiny"
    if 100 * area < pixels:
        return "small"
    return "medium" if 25 * area <= pixels else "large"
