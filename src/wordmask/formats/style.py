"""How overlays look: what may be chosen, and line widths and font sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.formats.colours import Colour


@dataclass(frozen=True)
class OverlayStyle:
    """What a user may choose about an overlay.

    Attributes:
        opacity: Of the colour in a mask, in [0, 1]; 0 leaves the outline.
        label_size: Size of labels and legend as a multiple of the usual; 0 draws none.
        colours: Colour of a phrase; the others get those of the palette.
        hide_missing: Whether phrases that were not found have no label.
        legend: True puts all labels into a legend below the image, False none; None does so where the labels would
            hide what they name, as on small images.
    """

    opacity: float = 0.38
    label_size: float = 1.0
    colours: Mapping[str, Colour] = field(default_factory=dict)
    hide_missing: bool = False
    legend: bool | None = None


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
    def of(cls, size: tuple[int, int], *, label_size: float = 1.0) -> Style:
        """Return the style for an image of `size = (H, W)`: lines 0.35 %, letters 2.8 % of its mean side.

        Args:
            size: Of the image.
            label_size: Multiple of the usual size of letters.
        """
        side = float(size[0] * size[1]) ** 0.5
        font = min(max(11.0, 0.028 * side), 0.25 * min(size))
        return cls(line=max(1.25, 0.0035 * side), font=max(6, round(label_size * max(9, round(font)))))

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
