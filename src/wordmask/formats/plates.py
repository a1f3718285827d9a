"""Labels with a background, drawn on an image beside their objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from wordmask.formats.colours import INK, PAPER
from wordmask.formats.labels import Request, place_labels
from wordmask.formats.lettering import lettered, shortened, width_of
from wordmask.formats.strokes import pointer
from wordmask.ops import masks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.formats.colours import Colour
    from wordmask.formats.labels import Rectangle
    from wordmask.formats.lettering import Font
    from wordmask.formats.named_mask import NamedMask
    from wordmask.formats.style import Style
    from wordmask.ops.masks import PackedMask

_GREY: Colour = (206, 210, 216)  # for prompts that found nothing
_OPACITY = 0.94
_DETAIL = 160  # longest side of the map that says what labels should not cover
_SMALL = 0.02  # objects with less than this fraction of the image are covered only where there is no other place
_CROWDED = 0.4  # fraction of the image that plates may cover together
_HIDDEN = 0.2  # fraction of an object that plates may cover
_FINE = 4  # plates are drawn this much larger and brought down, for smooth corners


@dataclass(frozen=True, eq=False)
class Tag:
    """Text and colour of one label.

    Attributes:
        name: The prompt's name.
        note: A number or word behind it.
        colour: Of the plate.
        mask: All that was found; None for a prompt that found nothing.
        part: The instance that the plate is put at.
    """

    name: str
    note: str
    colour: Colour
    mask: PackedMask | None = None
    part: PackedMask | None = None

    @classmethod
    def of(cls, named: NamedMask, colour: Colour) -> Tag:
        """Return the tag of a prompt: its presence in percent, or "not found"."""
        if not named.mask.area:
            return cls(named.name, "not found", _GREY)
        count = len(named.instances)
        note = f"{named.presence:.0%}" if count == 1 else f"x{count}  {named.presence:.0%}"
        largest = max((instance.mask for instance in named.instances), key=lambda part: part.area)
        return cls(named.name, note, colour, named.mask, largest)


@dataclass(frozen=True, eq=False)
class Plate:
    """A label with its font and width; its text is cut so that it fits into the image.

    The font is larger than the letters will be, by `_FINE`: drawn large and brought down, they are spaced evenly.
    `is_cut` says that the image is too narrow for the text.
    """

    tag: Tag
    name: str
    font: Font
    width: int
    note_at: int
    is_cut: bool

    @classmethod
    def of(cls, tag: Tag, position: int, style: Style, room: int) -> Plate:
        whole, font = lettered(tag.name, style.font * _FINE)
        whole = whole or f"prompt {position}"
        space, longest = round(0.45 * style.font), 22 * style.font
        note = space + _width(tag.note, font)
        name = shortened(whole, font, max(min(room - 2 * style.pad - note, longest), 0) * _FINE)
        note_at = style.pad + _width(name, font) + space
        is_cut = name != whole and room - 2 * style.pad - note < longest
        return cls(tag, name, font, note_at + _width(tag.note, font) + style.pad, note_at, is_cut)


def _width(text: str, font: Font) -> int:
    return -(-width_of(text, font) // _FINE)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the plates of an image go.

    Attributes:
        plates: All of them, in the order of the tags.
        places: A rectangle for each on the image; None for one that has no room.
    """

    plates: tuple[Plate, ...]
    places: tuple[Rectangle | None, ...]

    @classmethod
    def of(cls, tags: Sequence[Tag], style: Style, size: tuple[int, int]) -> Layout:
        """Find places for the first plates that together take 40 % of the image."""
        height, width = size
        plates = [Plate.of(tag, position, style, width) for position, tag in enumerate(tags, start=1)]
        taken = np.cumsum([plate.width * style.height for plate in plates])
        some = [plate for plate, area in zip(plates, taken, strict=True) if area <= _CROWDED * height * width]
        requests = [_request(plate, style, size) for plate in some]
        places = place_labels(requests, size, detail=_detail(tags, size), gap=style.gap)
        return cls(tuple(plates), (*places, *[None] * (len(plates) - len(some))))

    def is_good(self) -> bool:
        """Whether every plate has a place, its text in full, and no object is hidden by more than a fifth."""
        if any(place is None for place in self.places) or any(plate.is_cut for plate in self.plates):
            return False
        found = [plate.tag.part for plate in self.plates if plate.tag.part is not None]
        places = [place for place in self.places if place is not None]
        return all(sum(_covered(part, place) for place in places) <= _HIDDEN * part.area for part in found)

    def draw(self, canvas: NDArray[np.uint8], style: Style) -> Image.Image:
        """Return the canvas `(H, W, 3)` as an image with the plates that have a place, and lines to their objects."""
        placed = [(plate, place) for plate, place in zip(self.plates, self.places, strict=True) if place is not None]
        for plate, place in placed:
            if plate.tag.part is not None and not _touches(plate.tag.part, place, style.gap):
                pointer(canvas, *_tie(plate.tag.part, place, style), plate.tag.colour, style.line)
        image = Image.fromarray(canvas)
        for plate, place in placed:
            draw_plate(image, plate, place, style)
        return image


def _covered(mask: PackedMask, place: Rectangle) -> int:
    """Return how many pixels of a mask lie under a plate."""
    x0, y0, _, _ = mask.window
    left, top, right, bottom = place
    rows = slice(max(0, top - y0), max(0, bottom - y0))
    return int(np.count_nonzero(mask.crop()[rows, max(0, left - x0) : max(0, right - x0)]))


def _request(plate: Plate, style: Style, size: tuple[int, int]) -> Request:
    """Return the wanted place of a label: at its object, or in the bottom left corner when there is none."""
    part, bottom = plate.tag.part, float(size[0])
    if part is None:
        return Request(plate.width, style.height, (0.0, bottom, 0.0, bottom))
    box = part.box or (0.0, bottom, 0.0, bottom)
    return Request(plate.width, style.height, box, _small(part, size) > 0)


def _small(mask: PackedMask, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map of at most 160 cells a side: the fraction of each cell that the mask covers."""
    scale = min(1.0, _DETAIL / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    cells = np.zeros((height, width), dtype=np.float32)
    if not mask.area:
        return cells
    left, top = min(int(mask.window[0] * scale), width - 1), min(int(mask.window[1] * scale), height - 1)
    right, bottom = (max(low + 1, round(end * scale)) for low, end in zip((left, top), mask.window[2:], strict=True))
    crop = mask.crop().astype(np.float32)
    cells[top:bottom, left:right] = cv2.resize(crop, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return cells


def _detail(tags: Sequence[Tag], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a small map of what must not be covered: 1 on small objects, next to nothing on large ones."""
    detail = _small(masks.empty(size), size)
    for tag in tags:
        if tag.mask is not None:
            fraction = tag.mask.area / (size[0] * size[1])
            np.maximum(detail, _small(tag.mask, size) * np.float32(min(1.0, _SMALL / fraction)), out=detail)
    return detail


def _touches(mask: PackedMask, place: Rectangle, gap: int) -> bool:
    """Whether a plate lies on the mask or within a gap of it."""
    x0, y0, _, _ = mask.window
    left, top, right, bottom = place
    rows = slice(max(0, top - gap - y0), max(0, bottom + gap - y0))
    columns = slice(max(0, left - gap - x0), max(0, right + gap - x0))
    return bool(mask.crop()[rows, columns].any())


def _tie(mask: PackedMask, place: Rectangle, style: Style) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the ends of the shortest line from a plate to a mask, the second a little inside the mask."""
    crop = np.pad(mask.crop().view(np.uint8), 1)
    border = np.flatnonzero(crop != cv2.erode(crop, np.ones((3, 3), dtype=np.uint8)))
    y, x = np.divmod(border, crop.shape[1])
    points = np.stack([x, y], axis=1) - 1 + np.array(mask.window[:2])
    held = points.clip((place[0], place[1]), (place[2] - 1, place[3] - 1))
    nearest = int(((points - held) ** 2).sum(axis=1).argmin())
    *_, inner = cv2.minMaxLoc(cv2.distanceTransform(crop, cv2.DIST_L2, 3))
    towards = np.array(inner) - 1 + np.array(mask.window[:2]) - points[nearest]
    step = min(1.0, 2.5 * style.line / max(float(np.hypot(*towards)), 1e-9))
    end = (points[nearest] + towards * step).round().astype(int)
    return (int(held[nearest, 0]), int(held[nearest, 1])), (int(end[0]), int(end[1]))


def draw_plate(image: Image.Image, plate: Plate, place: Rectangle, style: Style) -> None:
    left, top, right, bottom = place
    size = (right - left, bottom - top)
    fine = (size[0] * _FINE, size[1] * _FINE)
    shape, name, note = (Image.new("L", fine) for _ in range(3))
    corner = round(0.35 * style.font) * _FINE
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, fine[0] - 1, fine[1] - 1), corner, fill=round(255 * _OPACITY))
    _, upper, _, lower = plate.font.getbbox("Hg")
    y = (fine[1] - upper - lower) / 2
    ImageDraw.Draw(name).text((style.pad * _FINE, y), plate.name, fill=255, font=plate.font)
    ImageDraw.Draw(note).text((plate.note_at * _FINE, y), plate.tag.note, fill=255, font=plate.font)
    ink = _ink_on(plate.tag.colour)
    for layer, colour in ((shape, plate.tag.colour), (name, ink), (note, _faded(ink, plate.tag.colour))):
        image.paste(colour, (left, top), layer.resize(size, Image.Resampling.BOX))


def _ink_on(colour: Colour) -> Colour:
    """Return dark text, on a dark colour light text."""
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else PAPER


def _faded(ink: Colour, plate: Colour) -> Colour:
    """Return ink a quarter of the way to the plate's colour: less contrast than the name, still legible."""
    red, green, blue = (round(0.75 * dark + 0.25 * value) for dark, value in zip(ink, plate, strict=True))
    return red, green, blue
