"""A small cache that several threads can share."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundedCache"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """The most recently used values, at most `size` of them.

    A copy or a pickle of a cache is empty.

    Args:
        size: Values kept; the least recently used one goes first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[type[BoundedCache[Key, Value]], tuple[int]]:
        return type(self), (self.size,)

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None where there is none."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)

    def keys(self) -> tuple[Key, ...]:
        """Return all keys, the least recently used one first."""
        with self._lock:
            return tuple(self._values)

    def clear(self) -> None:
        """Remove all values."""
        with self._lock:
            self._values.clear()

    def get_or_compute(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the value of a key, computed and kept where there is none.

        Threads that ask for the same key at once may each compute it.
        """
        value = self.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value
