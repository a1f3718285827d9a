"""Lock files: an operating system's lock, which ends with its process.

A process that is killed leaves the file behind, but not the lock: whoever comes next takes it over. POSIX record locks
(`fcntl`, POSIX.1-2017) are not inherited by worker processes, which may outlive their parent for some seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LockedError", "locked_file"]

_held: set[str] = set()  # the system does not stop a process from taking its own lock twice
_holding = threading.Lock()
_PAUSE = 0.05  # seconds between two attempts


class LockedError(OutputError):
    """Another process, or another thread of this one, holds the lock.

    Attributes:
        owner: Who, for messages.
    """

    def __init__(self, message: str, owner: str) -> None:
        super().__init__(message)
        self.owner = owner


@contextlib.contextmanager
def locked_file(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file, making its folder; a folder that is made for this and is still empty afterwards goes again.

    Args:
        path: The lock file. It is removed at the end.
        wait: Seconds to wait for another owner.

    Raises:
        LockedError: If another process, or another thread of this one, still holds it.
        OutputError: If it cannot be made.
    """
    is_new = not path.parent.exists()
    until = time.monotonic() + wait
    while True:
        try:
            file, name = _acquire(path)
            break
        except LockedError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            file.close()
        _held.discard(name)
        if is_new:
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def _acquire(path: Path) -> tuple[Any, str]:
    name = os.path.realpath(path)
    with _holding:
        if name in _held:
            raise _locked(path, "this process")
        _held.add(name)
    try:
        return _open(path), name
    except BaseException:
        _held.discard(name)
        raise


def _open(path: Path) -> Any:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            got = f"the folder {quote(path.parent)}, which cannot be written ({error.strerror})"
            raise OutputError(sentence(got, "a folder to write to", "choose another --out")) from error
        if not _try(file):
            file.seek(0)
            owner = file.read(200).strip() or "another process"
            file.close()
            raise _locked(path, owner)
        if _is_same(file, path):
            break
        file.close()  # its owner took it away between our opening and our locking it
    with contextlib.suppress(OSError):  # a full disk: the lock holds without the owner's name
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


def _locked(path: Path, owner: str) -> LockedError:
    got = f"the lock {quote(path)}, which {owner} holds"
    return LockedError(sentence(got, "a folder that nobody else writes to", "wait, or choose another --out"), owner)
