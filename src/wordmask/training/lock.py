"""One training for a run's folder at a time: an operating system's lock, which ends with its process.

A process that is killed leaves the file behind, but not the lock: whoever comes next takes it over. POSIX record locks
(`fcntl`, POSIX.1-2017) are not inherited by worker processes, which may outlive their parent for some seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from wordmask.errors import OutputError, TrainingError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAME", "locked"]

NAME = ".lock"
"""The file's name in the run's folder."""

_held: set[str] = set()  # the system does not stop a process from taking its own lock twice


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; one that is made for this and is still empty afterwards goes again.

    Raises:
        TrainingError: If another process, or another thread of this one, holds it.
        OutputError: If the folder cannot be made or written to.
    """
    path = folder / NAME
    name = os.path.realpath(path)
    if name in _held:
        raise _taken(folder, "this process")
    is_new = not folder.exists()
    file = _open(folder)
    try:
        _held.add(name)
        yield
    finally:
        _held.discard(name)
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            file.close()
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _open(folder: Path) -> Any:
    path = folder / NAME
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            got = f"the run's folder {quote(folder)}, which cannot be written ({error.strerror})"
            raise OutputError(sentence(got, "a folder to write to", "choose another --out")) from error
        if not _try(file):
            file.seek(0)
            owner = file.read(200).strip() or "another process"
            file.close()
            raise _taken(folder, owner)
        if _is_same(file, path):
            break
        file.close()  # its owner took it away between our opening and our locking it
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def _try(file: Any) -> bool:
    """Take the lock; False where another process has it. File systems that know no locks have none to respect."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 20)  # a byte behind the text, so that others can read who holds it
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _is_same(file: Any, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _taken(folder: Path, owner: str) -> TrainingError:
    got = f"the run's folder {quote(folder)}, in which {owner} is training"
    return TrainingError(sentence(got, "a folder of its own", "wait until that run has ended, or choose another --out"))
