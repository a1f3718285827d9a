"""Connections of the web server that must send and read in time, so that slow ones do not add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["PROTOCOL", "guarded_protocol"]

PROTOCOL = "wordmask.serve.connections:GuardedProtocol"
"""What uvicorn imports by name, in each of its processes."""
HEADER_SECONDS = 10.0
"""Time in which the head of a request must have arrived, from its first byte or from the connection's beginning."""
READ_SECONDS = 60.0
"""Time in which a client must read what was sent to it, once the system's buffers are full."""


def __getattr__(name: str) -> Any:
    """Make the class when uvicorn asks for it: this module can be imported without uvicorn."""
    if name == "GuardedProtocol":
        return guarded_protocol()
    raise AttributeError(name)


def guarded_protocol(*, header_seconds: float = HEADER_SECONDS, read_seconds: float = READ_SECONDS) -> type:
    """Return uvicorn's protocol with time limits that it does not have itself.

    Args:
        header_seconds: For the head of a request.
        read_seconds: For a client that does not read its answer.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class GuardedProtocol(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head = self.loop.call_later(header_seconds, self._abort)

        def data_received(self, data: bytes) -> None:
            if self._head is None and not self._is_busy():
                self._head = self.loop.call_later(header_seconds, self._abort)
            super().data_received(data)
            if self._is_busy():
                _cancel(self._head)
                self._head = None

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._head)
            _cancel(self._reading)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._reading is None:
                self._reading = self.loop.call_later(read_seconds, self._abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._reading)
            self._reading = None

        def _is_busy(self) -> bool:
            cycle: Any = self.cycle  # None before the first request
            return cycle is not None and not cycle.response_complete

        def _abort(self) -> None:
            self.transport.abort()

    return GuardedProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
