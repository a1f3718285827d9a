"""Names from files and users, made harmless for a terminal and for file names."""

from __future__ import annotations

import re

# Control characters (line breaks and escape sequences among them), lone surrogates, and the marks that turn the
# direction of writing. Joiners stay: emoji and several scripts need them.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return text on one line, with what a terminal would obey written out: a line break becomes backslash and n."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def escaped_json(text: str) -> str:
    """Return JSON that says the same, with what a terminal would obey as JSON's own escapes."""
    return _HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def replaced(text: str) -> str:
    """Return text for a file name, with a hyphen for each character that a terminal would obey."""
    return _HARMFUL.sub("-", text)
