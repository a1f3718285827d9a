"""Ends of runs from outside: Ctrl-C, and the signal that schedulers send before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""
TERMINATED = 143


class Terminated(BaseException):
    """The process was asked to end."""


@contextmanager
def termination_raises() -> Iterator[None]:
    """Let the signal TERM raise `Terminated`, so that what is done is written before the process ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and TERM while the last files are written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
