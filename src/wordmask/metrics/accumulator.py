"""What accumulators share: a frozen configuration, merging, and a state that survives an interruption."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged


class Accumulator(ABC):
    """A metric that is given one judgement at a time.

    Subclasses are frozen dataclasses: the fields that `__init__` takes are the configuration, which JSON can hold;
    the others hold what was counted. Results do not depend on the order of updates and merges.
    """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the scores as fractions by name; `nan` where a score is undefined."""

    @abstractmethod
    def _content(self) -> dict[str, Any]: ...

    @abstractmethod
    def _restore(self, content: dict[str, Any]) -> None: ...

    @abstractmethod
    def _absorb(self, other: Self) -> None: ...

    def config(self) -> dict[str, Any]:
        """Return the configuration by name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.init}  # type: ignore[arg-type]

    def merge(self, other: Self) -> None:
        """Take in what another process counted; `other` stays as it is.

        Raises:
            DataError: If it is another metric or configured otherwise.
        """
        if type(self) is not type(other) or self.config() != other.config():
            got = f"{type(other).__name__} with {other.config()}"
            expected = f"{type(self).__name__} with {self.config()}"
            raise DataError(sentence(got, expected, "merge only parts of one evaluation"))
        self._absorb(other)

    def state(self) -> dict[str, Any]:
        """Return configuration and counts as values that JSON can hold."""
        return {"metric": type(self).__name__, "config": _lists(self.config()), "content": self._content()}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """Return an accumulator that goes on where `state` was taken.

        Raises:
            DataError: If the state is another metric's, or damaged.
        """
        if not isinstance(state, dict) or state.get("metric") != cls.__name__:
            name = state.get("metric") if isinstance(state, dict) else state
            raise DataError(sentence(f"the state of {quote(name)}", f"that of {cls.__name__}", "pass its own state"))
        try:
            made = cls(**{name: _tuples(value) for name, value in state["config"].items()})
            made._restore(state["content"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            remedy = "start the evaluation again"
            raise DataError(sentence(f"a damaged state of {cls.__name__}", "what state() returned", remedy)) from error
        return made


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lists(item) for name, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (tuple, list)) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


@dataclass(eq=False)
class Table:
    """Rows of numbers, one per judgement: what means, intervals and breakdowns are computed from afterwards.

    Attributes:
        columns: What the numbers of a row are.
        whole: Whether they are whole numbers, held as int64; float64 otherwise.
        keys: `Judged.key` of every row.
        labels: `Judged.label` of every row.
    """

    columns: tuple[str, ...]
    whole: bool
    keys: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    numbers: array[Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.numbers = array("q" if self.whole else "d")

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, key: str, label: str, row: Sequence[float]) -> None:
        """Append one row."""
        assert len(row) == len(self.columns)
        self.keys.append(key)
        self.labels.append(label)
        self.numbers.extend(row)

    def extend(self, other: Table) -> None:
        """Append the rows of another table with the same columns."""
        self.keys.extend(other.keys)
        self.labels.extend(other.labels)
        self.numbers.extend(other.numbers)

    def rows(self) -> NDArray[Any]:
        """Return int64 or float64 `(N, columns)`, a new array in the order of the updates."""
        kind = np.int64 if self.whole else np.float64
        return np.array(self.numbers, dtype=kind).reshape(len(self), len(self.columns))

    def content(self) -> dict[str, Any]:
        return {"keys": list(self.keys), "labels": list(self.labels), "rows": self.rows().tolist()}

    def restore(self, content: dict[str, Any]) -> None:
        for key, label, row in zip(content["keys"], content["labels"], content["rows"], strict=True):
            if len(row) != len(self.columns):
                raise ValueError("a row of another length")
            self.add(str(key), str(label), row)


class PerSample(Accumulator):
    """An accumulator that keeps one short row per judgement.

    A judgement without a pixel that counts says nothing and leaves no row.
    """

    columns: ClassVar[tuple[str, ...]]
    whole: ClassVar[bool] = True
    table: Table

    def __post_init__(self) -> None:
        # The configuration is frozen, what is counted is not.
        object.__setattr__(self, "table", Table(self.columns, self.whole))

    def _keep(self, judged: Judged, row: Sequence[float]) -> None:
        self.table.add(judged.key, judged.label, row)

    def rows(self) -> NDArray[Any]:
        """Return int64 or float64 `(N, len(columns))`, one row per judgement: input of `bootstrap`."""
        return self.table.rows()

    def _content(self) -> dict[str, Any]:
        return self.table.content()

    def _restore(self, content: dict[str, Any]) -> None:
        self.table.restore(content)

    def _absorb(self, other: Self) -> None:
        self.table.extend(other.table)


def mean(values: Iterable[float]) -> float:
    """Return the mean; `nan` of nothing. The sum is rounded once, so the order of the values does not matter."""
    numbers = [float(value) for value in values]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def deviation(values: Iterable[float]) -> float:
    """Return the standard deviation of the population (no Bessel correction); `nan` of nothing."""
    numbers = [float(value) for value in values]
    centre = mean(numbers)
    return math.sqrt(mean((number - centre) ** 2 for number in numbers)) if numbers else math.nan


def quotient(top: NDArray[Any], bottom: NDArray[Any], *, otherwise: NDArray[Any] | float) -> NDArray[np.float64]:
    """Return `top / bottom` of arrays of one shape, `otherwise` where the divisor is 0."""
    result: NDArray[np.float64] = np.empty(top.shape)
    result[...] = otherwise
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def ratio(top: float, bottom: float) -> float:
    """Return `top / bottom`; `nan` where the divisor is 0."""
    return float(top) / float(bottom) if bottom else math.nan
