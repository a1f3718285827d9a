"""Scores by the size of the target, as a share of the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.metrics.accumulator import Accumulator

if TYPE_CHECKING:
    from wordmask.metrics.judged import Judged

SIZES = {"tiny": "< 0.25 %", "small": "0.25-1 %", "medium": "1-4 %", "large": "> 4 %", "absent": "nothing to find"}
"""Groups and what they hold; a share of exactly 0.25 % is small, 1 % and 4 % are medium."""


def size_of(area: int, pixels: int) -> str:
    """Return the name in `SIZES` of a target of `area` pixels in a picture of `pixels`; in whole numbers, so exact."""
    if not area:
        return "absent"
    if 400 * area < pixels:
        return "tiny"
    if 100 * area < pixels:
        return "small"
    return "medium" if 25 * area <= pixels else "large"


A = TypeVar("A", bound=Accumulator)


@dataclass(frozen=True, eq=False)
class BySize(Generic[A]):
    """Any pairwise accumulator, once per size of target: `BySize(Referring())`.

    The size is that of the whole truth, ignored pixels included.

    Attributes:
        prototype: An accumulator that has counted nothing; it stays so.
        parts: The accumulators by size; sizes not met are missing.
    """

    prototype: A
    parts: dict[str, A] = field(default_factory=dict, init=False)

    def update(self, judged: Judged, *more: Any) -> None:
        """Count one judgement where it belongs; `more` is handed on, such as the proposals."""
        size = size_of(int(np.count_nonzero(judged.truth)), judged.truth.size)
        self._part(size).update(judged, *more)  # type: ignore[attr-defined]

    def compute(self) -> dict[str, float]:
        """Return every score as `SIZE/NAME`, sizes in the order of `SIZES`."""
        met = [(size, self.parts[size].compute()) for size in SIZES if size in self.parts]
        return {f"{size}/{name}": value for size, scores in met for name, value in scores.items()}

    def merge(self, other: Any) -> None:
        """Take in what another process counted.

        Raises:
            DataError: If it split another metric, or one configured otherwise.
        """
        if not isinstance(other, BySize):
            raise DataError(sentence(type(other).__name__, "BySize", "merge only parts of one evaluation"))
        self._fresh().merge(other.prototype)  # compares kind and configuration even where nothing was counted
        for size, part in other.parts.items():
            self._part(size).merge(part)

    def state(self) -> dict[str, Any]:
        """Return configuration and counts as values that JSON can hold."""
        parts = {size: part.state() for size, part in self.parts.items()}
        return {"metric": "BySize", "prototype": self.prototype.state(), "parts": parts}

    @classmethod
    def from_state(cls, state: Any, kind: type[A]) -> BySize[A]:
        """Return what `state` was taken of; `kind` is the class of the accumulator that was split.

        Raises:
            DataError: If the state is another metric's, or damaged.
        """
        parts = state.get("parts") if isinstance(state, dict) and state.get("metric") == "BySize" else None
        if not isinstance(parts, dict) or not parts.keys() <= SIZES.keys() or "prototype" not in state:
            got = f"the state of {quote(state.get('metric') if isinstance(state, dict) else state)}"
            raise DataError(sentence(got, "that of BySize", "pass its own, undamaged state"))
        made = BySize(kind.from_state(state["prototype"]))
        made.parts.update({size: kind.from_state(part) for size, part in parts.items()})
        return made

    def _part(self, size: str) -> A:
        if size not in self.parts:
            self.parts[size] = self._fresh()
        return self.parts[size]

    def _fresh(self) -> A:
        return type(self.prototype).from_state(self.prototype.state())
