"""Counters of a service in the text format of Prometheus."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["BOUNDS", "Metrics", "memory_bytes"]

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histograms' classes, in seconds."""

_HELP = {
    "requests": ("counter", "Requests answered, by path and status."),
    "prompts": ("counter", "Prompts answered."),
    "images": ("counter", "Images of requests, by whether their features were computed or reused."),
    "request_seconds": ("histogram", "Time from the arrival of a request to its answer."),
    "queue_seconds": ("histogram", "Time that a request waits for a model."),
    "model_seconds": ("histogram", "Time that a model takes for a group of requests."),
}


class Metrics:
    """Counts and durations; safe with several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[tuple[str, str], float] = defaultdict(float)
        self._classes: dict[str, list[int]] = {}
        self._sums: dict[str, float] = defaultdict(float)

    def count(self, name: str, labels: str = "", by: float = 1) -> None:
        """Add to a counter; `labels` as Prometheus writes them, such as `status="200"`."""
        with self._lock:
            self._counts[name, labels] += by

    def observe(self, name: str, seconds: float) -> None:
        """Add a duration to a histogram."""
        with self._lock:
            classes = self._classes.setdefault(name, [0] * (len(BOUNDS) + 1))
            classes[bisect_left(BOUNDS, seconds)] += 1
            self._sums[name] += seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return everything, with gauges measured now."""
        with self._lock:
            return "\n".join([*self._lines(), *_gauges(gauges)]) + "\n"

    def _lines(self) -> Iterator[str]:
        for name, (kind, meaning) in _HELP.items():
            full = f"wordmask_{name}" + ("_total" if kind == "counter" else "")
            yield f"# HELP {full} {meaning}"
            yield f"# TYPE {full} {kind}"
            if kind == "counter":
                found = ((labels, value) for (one, labels), value in self._counts.items() if one == name)
                yield from (
                    f"{full}{{{labels}}} {value:g}" if labels else f"{full} {value:g}" for labels, value in found
                )
                continue
            below = 0
            for bound, number in zip((*BOUNDS, "+Inf"), self._classes.get(name, [0] * (len(BOUNDS) + 1)), strict=True):
                below += number
                yield f'{full}_bucket{{le="{bound}"}} {below}'
            yield f"{full}_sum {self._sums[name]:g}"
            yield f"{full}_count {below}"


def _gauges(gauges: Mapping[str, float]) -> Iterator[str]:
    for name, value in gauges.items():
        yield f"# TYPE wordmask_{name} gauge"
        yield f"wordmask_{name} {value:.12g}"


def memory_bytes() -> int | None:
    """Return the resident memory of this process; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
