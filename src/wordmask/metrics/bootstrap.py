"""Confidence intervals by resampling images: the percentile bootstrap.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. A statistic is a function of rows
summed over samples; most scores are: a mean is a sum over a number, oIoU a ratio of sums, class mIoU a mean of ratios
of sums. Rows are what an evaluation stored, so no model has to run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.means import quotient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Statistic = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Sums `(..., K)` to values `(...)`; with groups, sums `(..., G, K)` to values `(...)`."""

_AT_ONCE = 4_000_000
"""Numbers in the largest temporary array: 32 MB."""

_MOST_SHARED = 4000
"""Samples up to which draws are kept for the next statistic: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A statistic with its confidence interval.

    Attributes:
        value: Of all samples.
        low, high: Percentiles of the resampled values; `nan` where none is defined.
        level: Confidence level: fraction of the resampled values between them.
        draws: Number of resampled values; those that are `nan` are among them, but not among the percentiles.
        undefined: How many of them are `nan`.
    """

    value: float
    low: float
    high: float
    level: float
    draws: int
    undefined: int


def interval(
    rows: NDArray[Any],
    statistic: Statistic,
    *,
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Compute the percentile interval of a statistic of summed rows, drawing samples with replacement.

    Args:
        rows: `(N, K)`, one row per sample. Samples must be independent: `pool` rows of one image first.
        statistic: Function of the sums; `ratio_of_sums` and `mean_over_groups` make the usual ones.
        groups: N names, such as class labels, within which rows are summed, in sorted order. A group of which a draw
            holds no sample has `nan` sums in it.
        draws: Number of resampled values.
        seed: Of `numpy.random.default_rng`; the same seed gives the same interval.
        level: Confidence level.

    Raises:
        DataError: If there is no row, or the groups are not as many as the rows.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or not len(rows) or (groups is not None and len(groups) != len(rows)) or draws < 1:
        got = f"rows {rows.shape}, {'no' if groups is None else len(groups)} groups and {draws} draws"
        raise DataError(sentence(got, "(N, K) rows of at least one sample, N groups or none", "check what is passed"))
    members = _members(groups)
    everything = statistic(_sums(rows, np.ones((1, len(rows))), members))
    values = _resampled(rows, statistic, members, draws, seed)
    defined = values[~np.isnan(values)]
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail]) if len(defined) else (np.nan, np.nan)
    return Interval(float(everything[0]), float(low), float(high), level, draws, draws - len(defined))


def mean_interval(values: NDArray[Any] | Sequence[float], **options: Any) -> Interval:
    """Return the interval of a mean of `(N,)` values; options are those of `interval`."""
    column = np.asarray(values, dtype=np.float64)[:, None]
    rows = np.concatenate([column, np.ones_like(column)], axis=1)
    return interval(rows, ratio_of_sums((0,), (1,)), **options)


def ratio_of_sums(top: Sequence[int], bottom: Sequence[int], *, add: float = 0.0) -> Statistic:
    """Return the statistic sum of columns `top` / (`add` + sum of columns `bottom`); `nan` where that divides by 0.

    oIoU of (intersection, union): `ratio_of_sums((0,), (1,))`. CLIPSeg's IoU_FG of (TP, FP, FN, TN):
    `ratio_of_sums((0,), (0, 1, 2), add=1)`.
    """

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        over, under = (sums[..., list(columns)].sum(axis=-1) for columns in (top, bottom))
        return quotient(over, under + add, otherwise=np.nan)

    return statistic


def mean_over_groups(statistic: Statistic) -> Statistic:
    """Return the mean of a statistic over groups, those for which it is `nan` left out: mIoU over classes.

    Classes must have many samples. Where every sample is a class of its own the score is a mean of per-sample values:
    use `mean_interval`.
    """

    def averaged(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        values = statistic(sums)
        known = ~np.isnan(values)
        total = np.where(known, values, 0.0).sum(axis=-1)
        return quotient(total, known.sum(axis=-1), otherwise=np.nan)

    return averaged


def pool(rows: NDArray[Any], keys: Sequence[str]) -> NDArray[Any]:
    """Return rows `(M, K)` summed over equal keys, in sorted order of these: images are drawn, not prompts."""
    _, places = np.unique(np.asarray(keys), return_inverse=True)
    pooled = np.zeros((int(places.max(initial=-1)) + 1, rows.shape[1]), dtype=rows.dtype)
    np.add.at(pooled, places, rows)
    return pooled


def _members(groups: Sequence[str] | None) -> list[NDArray[np.intp]] | None:
    if groups is None:
        return None
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(places, kind="stable")
    return np.split(order, np.cumsum(np.bincount(places, minlength=len(names)))[:-1])


def _sums(
    rows: NDArray[np.float64], weights: NDArray[np.float64], members: list[NDArray[np.intp]] | None
) -> NDArray[np.float64]:
    """Return weighted sums `(B, K)`, or `(B, G, K)` of groups, for weights `(B, N)`."""
    if members is None:
        return np.asarray(weights @ rows, dtype=np.float64)
    parts = []
    for member in members:
        held = weights[:, member]
        parts.append(np.where(held.any(axis=1, keepdims=True), held @ rows[member], np.nan))
    return np.stack(parts, axis=1)


def _resampled(
    rows: NDArray[np.float64], statistic: Statistic, members: list[NDArray[np.intp]] | None, draws: int, seed: int
) -> NDArray[np.float64]:
    number = len(rows)
    size = max(1, _AT_ONCE // max(number, len(members or ()) * rows.shape[1]))
    shared = _shared_weights(number, draws, seed) if number <= _MOST_SHARED else None
    random, values = np.random.default_rng(seed), []
    for start in range(0, draws, size):
        stop = min(start + size, draws)
        weights = _weights(random, number, stop - start) if shared is None else shared[start:stop]
        values.append(statistic(_sums(rows, weights, members)))
    return np.concatenate(values)


@lru_cache(maxsize=2)
def _shared_weights(number: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return the weights that all statistics of one evaluation share, float64 `(draws, number)`."""
    return _weights(np.random.default_rng(seed), number, draws)


def _weights(random: np.random.Generator, number: int, draws: int) -> NDArray[np.float64]:
    """Return how often each of `number` samples is drawn, float64 `(draws, number)`.

    One draw at a time, so that the stream of random numbers does not depend on the size of the chunks.
    """
    drawn = (random.integers(0, number, number) for _ in range(draws))
    return np.stack([np.bincount(draw, minlength=number) for draw in drawn]).astype(np.float64)
