"""The judged prompts of a run as columns of numbers, read from its records."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluate.counting import COUNTED
from wordmask.metrics.bootstrap import Interval, interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Rows", "Statistic", "one_hot", "over_pictures", "pooled", "score_json"]

_MOST_SHARED = 4000
"""Pictures up to which the draws are kept for all scores of a run: 32 MB."""

Statistic = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


@dataclass(frozen=True, eq=False)
class Rows:
    """One entry per judged prompt.

    Attributes:
        pictures: Number of samples, those without a prompt included.
        picture: int64 `(R,)`, position of the sample.
        labels: `(R,)` names.
        absent: bool `(R,)`: known not to be there.
        found: bool `(R,)`: the model says that it is there.
        presence: float64 `(R,)`.
        counts: int64 `(R, 10)`, see `COUNTED`.
        levels: int64 `(R, 2, 50)`, see `wordmask.metrics.thresholds.histogram`; None without a sweep.
        mirror: int64 `(M, 6)` and the rows that they belong to, int64 `(M,)`.
        proposals: float64 `(M, 2)`, IoU of the best region and of the answer, and the rows that they belong to.
    """

    pictures: int
    picture: NDArray[np.int64]
    labels: NDArray[Any]
    absent: NDArray[np.bool_]
    found: NDArray[np.bool_]
    presence: NDArray[np.float64]
    counts: NDArray[np.int64]
    levels: NDArray[np.int64] | None
    mirror: tuple[NDArray[np.int64], NDArray[np.int64]]
    proposals: tuple[NDArray[np.float64], NDArray[np.int64]]

    @classmethod
    def of(cls, records: Iterable[dict[str, Any]]) -> Rows:
        """Read records; prompts without a pixel that counts are left out."""
        whole: dict[str, array[Any]] = {name: array("q") for name in ("picture", "flags", "counts", "levels")}
        presence, labels, mirror, proposals = (
            array("d"),
            list[str](),
            (array("q"), array("q")),
            (array("d"), array("q")),
        )
        number = 0
        for number, record in enumerate(records, start=1):
            for row in record["rows"]:
                if not sum(row["counts"][2:6]):
                    continue
                for kept, name in ((mirror, "mirror"), (proposals, "proposals")):
                    if row.get(name):
                        kept[0].extend(row[name])
                        kept[1].append(len(labels))
                labels.append(row["label"])
                presence.append(row["presence"])
                whole["picture"].append(number - 1)
                whole["flags"].extend((row["absent"], row["found"]))
                whole["counts"].extend(row["counts"])
                for part in row.get("levels", ()):
                    whole["levels"].extend(part)
        arrays = {name: np.array(values, dtype=np.int64) for name, values in whole.items()}
        flags = arrays["flags"].reshape(-1, 2).astype(np.bool_)
        return cls(
            number,
            arrays["picture"],
            np.array(labels, dtype=np.str_),
            flags[:, 0],
            flags[:, 1],
            np.array(presence, dtype=np.float64),
            arrays["counts"].reshape(-1, len(COUNTED)),
            arrays["levels"].reshape(-1, 2, 50) if len(arrays["levels"]) else None,
            (np.array(mirror[0], dtype=np.int64).reshape(-1, 6), np.array(mirror[1], dtype=np.int64)),
            (np.array(proposals[0], dtype=np.float64).reshape(-1, 2), np.array(proposals[1], dtype=np.int64)),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> NDArray[np.int64]:
        """Return one of `COUNTED`, int64 `(R,)`."""
        return self.counts[:, COUNTED.index(name)]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """TP, FP, FN, TN, int64 `(R, 4)`."""
        return self.counts[:, 2:6]

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Whether a pixel that counts belongs to the truth, bool `(R,)`."""
        return np.asarray(self.column("tp") + self.column("fn") > 0)


def pooled(values: NDArray[Any], picture: NDArray[np.int64], pictures: int) -> NDArray[np.float64]:
    """Return rows `(R, K)` summed within pictures, float64 `(pictures, K)`: pictures are drawn, not their prompts."""
    sums = np.zeros((pictures, values.shape[1]))
    np.add.at(sums, picture, values)
    return sums


def over_pictures(
    values: NDArray[Any], picture: NDArray[np.int64], pictures: int, statistic: Statistic, *, draws: int, seed: int
) -> Interval | None:
    """Return a statistic of summed rows `(R, K)` with its interval over pictures; None without a row.

    One picture alone has no interval: its ends are `nan`.
    """
    if not len(values):
        return None
    rows = pooled(values, picture, pictures)
    if pictures > _MOST_SHARED:
        found = interval(rows, statistic, draws=draws, seed=seed)
    else:
        found = _shared_interval(rows, statistic, draws, seed)
    return found if len(np.unique(picture)) > 1 else replace(found, low=math.nan, high=math.nan)


def _shared_interval(rows: NDArray[np.float64], statistic: Statistic, draws: int, seed: int) -> Interval:
    """Return what `interval` returns, from draws that many statistics of one run share."""
    everything = statistic(rows.sum(axis=0)[None])
    values = statistic(np.asarray(_weights(len(rows), draws, seed) @ rows))
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (math.nan, math.nan)
    return Interval(float(everything[0]), float(low), float(high), 0.95, draws, draws - len(defined))


@lru_cache(maxsize=2)
def _weights(number: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each of `number` pictures is drawn, float64 `(draws, number)`: the draws of `interval`."""
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, number, number) for _ in range(draws))
    return np.stack([np.bincount(draw, minlength=number) for draw in drawn]).astype(np.float64)


def one_hot(labels: NDArray[Any], names: Sequence[str], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows `(R, K)` as `(R, C * K)`, zero but in the block of the row's label; other labels stay zero."""
    places = {name: place for place, name in enumerate(names)}
    wide = np.zeros((len(labels), len(names), values.shape[1]))
    for row, label in enumerate(labels.tolist()):
        if label in places:
            wide[row, places[label]] = values[row]
    return wide.reshape(len(labels), -1)


def score_json(result: Interval | float | None) -> dict[str, float | None] | None:
    """Return a value and its interval, rounded to a millionth so that the last bits of a sum do not show."""
    if result is None:
        return None
    if not isinstance(result, Interval):
        return {"value": _rounded(result)}
    return {"value": _rounded(result.value), "low": _rounded(result.low), "high": _rounded(result.high)}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
