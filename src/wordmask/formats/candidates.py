"""Images of candidates: every region that was scored for a phrase, chosen or rejected, with the parts of its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from wordmask.formats.lettering import lettered, shortened
from wordmask.formats.strokes import contours, outline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.formats.colours import Colour
    from wordmask.ops.masks import PackedMask

CHOSEN: Colour = (46, 180, 80)
REJECTED: Colour = (232, 120, 40)
_OPACITY = 0.45
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class ShownCandidate:
    """A candidate as plain data.

    Attributes:
        mask: Its mask.
        chosen: Whether it belongs to the answer.
        text: Its scores, one line.
    """

    mask: PackedMask
    chosen: bool
    text: str


def draw_candidates(
    pixels: NDArray[np.uint8], candidates: Sequence[ShownCandidate], lines: Sequence[str]
) -> Image.Image:
    """Draw numbered candidates over an image, green where chosen and orange where rejected, with their scores below.

    Args:
        pixels: uint8 `(H, W, 3)`, RGB.
        candidates: In the order of their numbers.
        lines: Further lines of text, above the scores.

    Returns:
        RGB, as wide as the image, higher by the text.
    """
    canvas = (pixels * np.float32(0.7)).astype(np.uint8)
    for one in candidates:
        if one.chosen and one.mask.area:
            inside = one.mask.full()
            canvas[inside] = (pixels[inside] * (1 - _OPACITY) + np.array(CHOSEN) * _OPACITY).astype(np.uint8)
    width = max(1.0, min(pixels.shape[:2]) / 250)
    ordered = sorted(candidates, key=lambda one: one.chosen)
    traced = [(contours(one.mask, smooth=width), _colour(one)) for one in ordered if one.mask.area]
    outline(canvas, traced, width)
    letters = max(11, round(min(pixels.shape[:2]) / 32))
    image = Image.fromarray(canvas)
    for number, one in enumerate(candidates, start=1):
        if one.mask.area:
            _number(image, str(number), _inner_point(one.mask), _colour(one), letters)
    rows = [(text, _INK) for text in lines]
    rows += [(f"{number}  {one.text}", _colour(one)) for number, one in enumerate(candidates, start=1)]
    return _with_text(image, rows, letters)


def _colour(candidate: ShownCandidate) -> Colour:
    return CHOSEN if candidate.chosen else REJECTED


def _inner_point(mask: PackedMask) -> tuple[int, int]:
    """The position `(x, y)` inside a mask that is farthest from its edge."""
    distance = cv2.distanceTransform(np.pad(mask.crop(), 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(x) + mask.window[0], int(y) + mask.window[1]


def _number(image: Image.Image, text: str, at: tuple[int, int], colour: Colour, letters: int) -> None:
    drawing = ImageDraw.Draw(image)
    line, font = lettered(text, letters)
    half = letters * 0.5 + font.getlength(line) * 0.5
    box = (at[0] - half, at[1] - letters * 0.8, at[0] + half, at[1] + letters * 0.8)
    drawing.rounded_rectangle(box, radius=letters * 0.4, fill=colour)
    drawing.text(at, line, fill=_PAPER, font=font, anchor="mm")


def _with_text(image: Image.Image, rows: Sequence[tuple[str, Colour]], letters: int) -> Image.Image:
    step, margin = round(letters * 1.45), round(letters * 0.7)
    whole = Image.new("RGB", (image.width, image.height + step * len(rows) + margin), _PAPER)
    whole.paste(image, (0, 0))
    drawing = ImageDraw.Draw(whole)
    for row, (text, colour) in enumerate(rows):
        line, font = lettered(text, letters)
        at = (margin, image.height + margin // 2 + step * row)
        drawing.text(at, shortened(line, font, image.width - 2 * margin), fill=colour, font=font)
    return whole
