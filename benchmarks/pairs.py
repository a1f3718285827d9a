"""Time two sides of a comparison alternately."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def alternate(one: Callable[[], Tensor], other: Callable[[], Tensor], pairs: int) -> tuple[list[float], list[float]]:
    """Return seconds of each call of two sides; every other pair runs in reverse order, a warm-up pair is left out."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs + 1):
        both = list(zip((one, other), seconds, strict=True))
        for side, spent in both if pair % 2 else reversed(both):
            begin = time.perf_counter()
            side()
            if pair:
                spent.append(time.perf_counter() - begin)
    return seconds


def summary(seconds: tuple[list[float], list[float]], one: str, other: str) -> str:
    """Return the medians of both sides and the median ratio within pairs, as a phrase."""
    first, second = (1000 * statistics.median(values) for values in seconds)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    return f"{one} {first:.2f} ms, {other} {second:.2f} ms, {ratio:.2f}x"


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Return the relative (L2) difference."""
    return float((got.double() - expected.double()).norm() / expected.double().norm())
