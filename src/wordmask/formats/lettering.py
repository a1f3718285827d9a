"""Fonts and text on images; characters that no font has are dropped.

That font knows little more than ASCII. A line with other letters is drawn in a font of the system that has them all;
failing that, accents are dropped, then whatever is left over.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TypeAlias, cast

from PIL import ImageFont

from wordmask.errors import MissingExtraError, sentence

Font: TypeAlias = "ImageFont.FreeTypeFont"

_SYSTEM = (  # looked for by file name in the system's font folders; the first that draws the whole line is taken
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
    "PingFang.ttc",
)
_MISSING = "\U0010ffff"  # a code point that no font draws: shows what "missing" looks like


def lettered(text: str, size: int) -> tuple[str, Font]:
    """Return what can be drawn of `text` on one line, maybe nothing, and the font to draw it with.

    Args:
        text: Any string.
        size: Height of the font in pixels.
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    for name in (None, *_SYSTEM):
        if all(_is_drawn(character, name) for character in line):
            return line, _font(name, size) or _pillow(size)
    plain = "".join(character for character in unicodedata.normalize("NFKD", line) if _is_drawn(character, None))
    return " ".join(plain.split()), _pillow(size)


def width_of(text: str, font: Font) -> int:
    """Return how many pixels a line takes."""
    return int(font.getlength(text) + 0.999)


def shortened(text: str, font: Font, width: int) -> str:
    """Return `text`, or as much of its beginning as fits into `width` pixels with an ellipsis; maybe nothing."""
    if width_of(text, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width_of(_cut(text, middle), font) <= width else (low, middle - 1)
    return _cut(text, low) if low else ""


def _cut(text: str, length: int) -> str:
    return text[:length].rstrip() + "..."


@lru_cache(maxsize=8)
def _pillow(size: int) -> Font:
    """Return Pillow's own font.

    Raises:
        MissingExtraError: If this Pillow was built without FreeType.
    """
    try:
        return cast("Font", ImageFont.load_default(size))
    except ImportError as error:
        remedy = "install Pillow's own wheel with `pip install --force-reinstall pillow`"
        raise MissingExtraError(sentence("a Pillow without FreeType", "one that can draw text", remedy)) from error


@lru_cache(maxsize=32)
def _font(name: str | None, size: int) -> Font | None:
    if name is None:
        return _pillow(size)
    try:
        return ImageFont.truetype(name, size)
    except (OSError, ImportError):
        return None


@lru_cache(maxsize=4096)
def _is_drawn(character: str, name: str | None) -> bool:
    """Whether the font has a shape of its own for a character."""
    return character == " " or _shape(character, name) not in (None, _shape(_MISSING, name))


@lru_cache(maxsize=4096)
def _shape(character: str, name: str | None) -> bytes | None:
    """Return the pixels of a character, None where the font does not exist or cannot draw it."""
    font = _font(name, 24)
    if font is None:
        return None
    try:
        mask = font.getmask(character)
    except (UnicodeEncodeError, OSError):
        return None
    return bytes(mask) + repr(mask.size).encode()
