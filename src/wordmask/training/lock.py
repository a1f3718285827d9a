"""One training for a run's folder at a time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from wordmask.errors import OutputError, TrainingError, quote, sentence
from wordmask.formats.lock import LockedError, locked_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAME", "locked"]

NAME = ".lock"
"""The file's name in the run's folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; one that is made for this and is still empty afterwards goes again.

    Raises:
        TrainingError: If another process, or another thread of this one, holds it.
        OutputError: If the folder cannot be made or written to.
    """
    lock = locked_file(folder / NAME)
    try:
        lock.__enter__()
    except LockedError as error:
        got = f"the run's folder {quote(folder)}, in which {error.owner} is training"
        remedy = "wait until that run has ended, or choose another --out"
        raise TrainingError(sentence(got, "a folder of its own", remedy)) from None
    except OutputError as error:
        got = f"the run's folder {quote(folder)}, which cannot be written ({_reason(error)})"
        raise OutputError(sentence(got, "a folder to write to", "choose another --out")) from error
    with contextlib.ExitStack() as stack:
        stack.push(lock)
        yield


def _reason(error: OutputError) -> str:
    return str(getattr(error.__cause__, "strerror", None) or error)
