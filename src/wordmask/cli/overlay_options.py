"""Options of `wordmask segment` about overlays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.formats.colours import Colour
    from wordmask.formats.style import OverlayStyle


def overlay_style(
    legend: bool | None, opacity: float, label_size: float, colours: Sequence[str], hide_missing: bool
) -> OverlayStyle:
    """Return how overlays look.

    Raises:
        OutputError: A colour is not written as PHRASE=#RRGGBB.
    """
    from wordmask.formats.style import OverlayStyle

    chosen = dict(_colour(word) for word in colours)
    return OverlayStyle(opacity, label_size, chosen, hide_missing, legend)


def _colour(word: str) -> tuple[str, Colour]:
    from PIL import ImageColor

    phrase, equals, colour = word.rpartition("=")
    try:
        red, green, blue = ImageColor.getrgb(colour.strip())[:3]
    except ValueError:
        equals = ""
    if not equals or not phrase.strip():
        got = f"--colour {quote(word)}"
        raise OutputError(sentence(got, "a phrase and a colour", "write for example --colour hair=#ff8800"))
    return phrase.strip(), (red, green, blue)
