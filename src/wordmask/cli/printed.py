"""Escape names from files and users for a terminal."""

from __future__ import annotations

from wordmask.formats.files import HARMFUL


def escaped(text: str) -> str:
    """Return text on one line, with what a terminal would obey written out: a line break becomes backslash and n."""
    return HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def escaped_json(text: str) -> str:
    """Return JSON that says the same, with what a terminal would obey as JSON's own escapes."""
    return HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
