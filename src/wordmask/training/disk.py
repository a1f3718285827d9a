"""What a full disk does to a training: one sentence that names the run's folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["full_disk_as_sentence"]

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
_TORCH = re.compile(r"PytorchStreamWriter|inline_container|file write failed")  # torch.save has no error of its own


@contextlib.contextmanager
def full_disk_as_sentence(folder: Path) -> Iterator[None]:
    """Turn errors of writing into the run's folder, of Python, torch and safetensors, into one.

    Raises:
        OutputError: If a file of the run cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        got = f"the run's folder {quote(folder)}, which cannot be written ({reason})"
        remedy = "free some space; the same command then continues the run"
        raise OutputError(sentence(got, "a folder with free space", remedy)) from error


def _reason(error: Exception) -> str | None:
    """Return why a file could not be written; None for other errors."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in _UNWRITABLE else None
    if isinstance(error, SafetensorError):  # "Error while serializing: I/O error: File too large (os error 27)"
        number = re.search(r"\(os error (\d+)\)", str(error))
        return os.strerror(int(number[1])) if number and int(number[1]) in _UNWRITABLE else None
    return "torch could not write a file" if _TORCH.search(str(error)) else None
