"""A legend below an image: one plate for each phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from wordmask.formats.colours import PAPER
from wordmask.formats.plates import Plate, draw_plate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.formats.labels import Rectangle
    from wordmask.formats.plates import Tag
    from wordmask.formats.style import Style

_NARROWEST = 16  # in heights of the font: a legend is at least so wide, also below a narrower image


def with_legend(image: Image.Image, tags: Sequence[Tag], style: Style) -> Image.Image:
    """Return the image on white paper, with a row or several of plates below it; without tags the image itself."""
    if not tags:
        return image
    width = max(image.width, _NARROWEST * style.font)
    room = width - 2 * style.gap
    plates = [Plate.of(tag, position, style, room) for position, tag in enumerate(tags, start=1)]
    places = _rows([plate.width for plate in plates], style, width, image.height + style.gap)
    paper = Image.new("RGB", (width, places[-1][3] + style.gap), PAPER)
    paper.paste(image, ((width - image.width) // 2, 0))
    for plate, place in zip(plates, places, strict=True):
        draw_plate(paper, plate, place, style)
    return paper


def _rows(widths: Sequence[int], style: Style, width: int, top: int) -> list[Rectangle]:
    """Return a rectangle for each plate, from left to right, in as many rows as they need."""
    places: list[Rectangle] = []
    left = style.gap
    for wide in widths:
        if left > style.gap and left + wide + style.gap > width:
            left, top = style.gap, top + style.height + style.gap
        places.append((left, top, left + wide, top + style.height))
        left += wide + style.gap
    return places
