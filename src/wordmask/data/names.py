"""When two names or paths in a user's data are the same."""

from __future__ import annotations

import posixpath

__all__ = ["folded", "path_key"]


def folded(name: str) -> str:
    """Return the same text for names that differ in case and blanks alone."""
    return " ".join(name.split()).casefold()


def path_key(path: str) -> str:
    """Return a path in a table or an annotation file without what does not matter: `./`, `//`, `a/../`."""
    return posixpath.normpath(path)
