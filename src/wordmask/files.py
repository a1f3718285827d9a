"""Check files before they are read: pipes and devices never end, folders cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import WordmaskError, quote, sentence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["require_regular"]


def require_regular(
    path: Path, what: str, *, error: type[WordmaskError], limit: int | None = None, remedy: str | None = None
) -> None:
    """Check that a path is an ordinary file with content, which a read will end.

    Args:
        path: The file, or a link to it.
        what: What it should be.
        error: Raised if it is not.
        limit: Largest size in bytes; None for any.
        remedy: What to do about an empty or a too large file.

    Raises:
        WordmaskError: `error`, if it is a folder, a pipe, a device or a socket, is empty or is too large.
        OSError: If there is nothing, or it may not be looked at.
    """
    size = path.stat().st_size
    if path.is_dir():
        raise error(sentence(f"the folder {quote(path)}", what, "name a file"))
    if not path.is_file():
        raise error(sentence(f"{quote(path)}, which is no ordinary file", what, "copy it to a file"))
    if size == 0:
        raise error(sentence(f"the empty file {quote(path)}", what, remedy or "fetch or save it again"))
    if limit is not None and size > limit:
        got = f"the file {quote(path)} of {size / 1e6:.0f} MB"
        raise error(sentence(got, f"{what} of at most {limit / 1e6:.0f} MB", remedy or "give another file"))
