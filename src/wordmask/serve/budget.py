"""How many bytes of requests a service holds at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wordmask.serve.failures import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ByteBudget"]


class ByteBudget:
    """Bytes of all bodies that are being read or waited for; used by one event loop.

    Args:
        limit: Most of them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes bytes for one request; all of them are given back at the end.

        The function raises `ServiceError` (503) where the limit would be passed.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self.used + count > self.limit:
                message = "Got more requests than fit into memory, expected fewer: send the request again in 1 s."
                raise ServiceError(503, "overloaded_error", "out_of_memory", message, headers={"Retry-After": "1"})
            self.used += count
            taken += count

        try:
            yield take
        finally:
            self.used -= taken
