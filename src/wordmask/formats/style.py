"""Line width and font size of overlays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Sizes in pixels, derived from the image's size.

    Attributes:
        line: Width of an outline.
        font: Height of the letters.
    """

    line: float
    font: int

    @classmethod
    def of(cls, size: tuple[int, int]) -> Style:
        """Return the style for an image of `size = (H, W)`: lines 0.35 %, letters 2.8 % of its mean side."""
        side = float(size[0] * size[1]) ** 0.5
        font = min(max(11.0, 0.028 * side), 0.25 * min(size))
        return cls(line=max(1.25, 0.0035 * side), font=max(9, round(font)))

    @property
    def pad(self) -> int:
        """Space at the left and right of a plate's text."""
        return round(0.5 * self.font)

    @property
    def height(self) -> int:
        """Height of a plate."""
        return round(1.55 * self.font)

    @property
    def gap(self) -> int:
        """Space between two plates."""
        return max(2, round(0.2 * self.font))
