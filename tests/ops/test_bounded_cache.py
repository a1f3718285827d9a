"""The cache that threads share."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from wordmask.ops.bounded_cache import BoundedCache


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_the_least_recently_used_value_goes_first() -> None:
    cache = BoundedCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


def test_a_value_is_computed_once() -> None:
    cache, calls = BoundedCache[str, int](2), []
    for _ in range(3):
        assert cache.get_or_compute("a", lambda: calls.append(1) or 7) == 7  # type: ignore[func-returns-value]
    assert len(calls) == 1


def test_copies_are_empty_and_of_the_same_size() -> None:
    cache = BoundedCache[str, int](5)
    cache.put("a", 1)
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert (len(other), other.size) == (0, 5)


@pytest.mark.usefixtures("switching")
def test_threads_share_it() -> None:
    cache = BoundedCache[int, int](4)

    def ask(start: int) -> bool:
        keys = [(start + step) % 9 for step in range(4000)]
        return all(cache.get_or_compute(key, lambda key=key: key * key) == key * key for key in keys)  # type: ignore[misc]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert len(cache) == 4
