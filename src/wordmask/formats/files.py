"""Write files atomically, under names that every file system accepts."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 120  # bytes of a prompt, and of an image, in a file name: both together fit the usual limit of 255
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (line breaks and escape sequences among them), lone surrogates, and the marks that turn the
direction of writing. Joiners stay: emoji and several scripts need them."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # device names of Windows


def as_path(path: object) -> Path:
    """Return where to write as a `Path`.

    Raises:
        OutputError: If it is neither a string nor a path.
    """
    if isinstance(path, str | os.PathLike):
        return Path(os.fsdecode(path))
    got = f"an output path of type {type(path).__name__}"
    raise OutputError(sentence(got, "a string or a pathlib.Path", "name a file, such as 'result.png'"))


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file atomically, making missing folders, and return its path.

    The content goes to a temporary file beside the target, which then takes the target's place: whoever reads sees
    the old file or the new one, and a failure leaves nothing behind.

    Raises:
        OutputError: If the path is a folder, is no path or cannot be written.
    """
    target = as_path(path)
    try:
        if target.is_dir():
            expected, remedy = "a file to write", f"name a file in it, such as {quote(target / 'result.png')}"
            raise OutputError(sentence(f"the folder {quote(target)}", expected, remedy))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # a pipe or device must be written to, not replaced
            target.write_bytes(content)
        else:
            _replace(Path(os.path.realpath(target)), content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        got = f"the output path {quote(target)}, which cannot be written ({reason})"
        remedy = "check the folder, its permissions and the free space, or choose another path"
        raise OutputError(sentence(got, "a writable path", remedy)) from error
    return target


def _replace(target: Path, content: bytes) -> None:
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(None, "the file is read-only")
    temporary = target.parent / f".wordmask-{secrets.token_hex(6)}.part"
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def shortened(stem: str) -> str:
    """Cut a name between characters so that another name, a number and a suffix fit behind it."""
    return stem.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")


def image_stem(name: str) -> str:
    """Return a safe beginning of file names from an image's name: `sample:astronaut` gives `astronaut`."""
    return shortened(HARMFUL.sub("-", Path(name.removeprefix("sample:")).stem).replace(" ", "-"))


def file_names(names: Sequence[str], *, suffix: str) -> tuple[str, ...]:
    """Return a safe, distinct file name for each prompt: `left eye` becomes `left-eye.png`.

    The same names give the same files. Letters and digits of any script are kept; a prompt without any is called
    `prompt-N` by its position, and a repeated name gets `-2`, `-3`. Upper and lower case count as the same.
    """
    taken: set[str] = set()
    chosen = []
    for position, name in enumerate(names, start=1):
        stem = _stem(name) or f"prompt-{position}"
        unique, copies = stem, 1
        while unique.casefold() in taken:
            copies += 1
            unique = f"{stem}-{copies}"
        taken.add(unique.casefold())
        chosen.append(unique + suffix)
    return tuple(chosen)


def _stem(name: str) -> str:
    plain = unicodedata.normalize("NFC", name)
    stem = shortened(re.sub(r"[\W_]+", "-", plain).strip("-")[:60]).rstrip("-")
    return f"{stem}-" if _RESERVED.fullmatch(stem) else stem
