"""Escape names from files and users for a terminal."""

from __future__ import annotations

from wordmask.formats.files import HARMFUL


def escaped(text: str) -> str:
    """Return text on one line, with control characters escaped: a line break becomes backslash and n."""
    return HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def escaped_json(text: str) -> str:
    """Return equivalent JSON with control characters as JSON escapes."""
    return HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
