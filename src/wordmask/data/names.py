"""When two paths in a user's data are the same; of names, `prompts.phrases.fold_phrase` tells it."""

from __future__ import annotations

import posixpath

__all__ = ["path_key"]


def path_key(path: str) -> str:
    """Return a path in a table or an annotation file without what does not matter: `./`, `//`, `a/../`."""
    return posixpath.normpath(path)
