"""How sure a difference between two variants is: over pictures, and over seeds.

Both variants answered the same questions, so pictures are drawn with replacement for both together (the paired
bootstrap; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 15). Seeds are drawn
likewise, a seed of the one beside the same seed of the other. Of n seeds a bootstrap sees too little spread, by the
factor sqrt((n - 1) / n); their part is widened by its inverse. With fewer than two seeds nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.thresholds import counts, position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Verdict = Literal["holds", "does not hold", "not decided"]
Weighted = Callable[["NDArray[np.float64]"], float]
"""Of the weight of each question, `(N,)`."""
Score = Callable[["NDArray[np.float64]"], Weighted]
"""Of counts `(N, 4, 49)`: TP, FP, FN, TN of each question at each threshold."""
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First minus second.

    Attributes:
        value: Mean over seeds, of all pictures.
        low, high: 95 % interval over pictures and seeds.
        by_seed: The difference of each seed.
    """

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the first is better: the interval lies on one side of 0."""
        if len(self.by_seed) < 2 or self.low <= 0 <= self.high:
            return "not decided"
        return "holds" if self.low > 0 else "does not hold"


def best_miou(counted: NDArray[np.float64]) -> Weighted:
    """Return mean IoU over questions at the best threshold, as tables 8 and 9 report it."""
    each = _iou(counted)
    return lambda weights: float((weights @ each).max() / weights.sum())


def miou_at(threshold: float) -> Score:
    """Return the score of mean IoU at one threshold, as in table 3."""
    place = position(threshold)

    def score(counted: NDArray[np.float64]) -> Weighted:
        each = _iou(counted)[:, place]
        return lambda weights: float(weights @ each / weights.sum())

    return score


def step_ap(counted: NDArray[np.float64]) -> Weighted:
    """Return conventional average precision over all pixels, ranked by the 49 thresholds.

    Other than CLIPSeg's own it leaves out nothing below the lowest recall, and it does not jump when a threshold's
    point falls together with another's, so it can be resampled.
    """

    def value(weights: NDArray[np.float64]) -> float:
        tp, fp, fn = (weights @ counted[:, row] for row in range(3))
        recall, precision = tp / np.maximum(tp + fn, 1), tp / np.maximum(tp + fp, 1)
        return float((np.diff(recall[::-1], prepend=0.0) * precision[::-1]).sum())

    return value


def _iou(counted: NDArray[np.float64]) -> NDArray[np.float64]:
    tp, fp, fn = (counted[:, row] for row in range(3))
    return np.asarray(tp / (1 + tp + fp + fn), np.float64)


def compare(
    first: Sequence[NDArray[np.int64]], second: Sequence[NDArray[np.int64]], pictures: Sequence[str], score: Score, *,
    draws: int = DRAWS, seed: int = 0,
) -> Difference:  # fmt: skip
    """Return the difference of two variants with its interval.

    Args:
        first: Histograms `(N, 2, 50)` of the same N questions, one array for each seed.
        second: Likewise, the same seeds in the same order.
        pictures: Key of the picture of each question; questions of one picture are drawn together.
        score: What is compared.
        draws: Resampled values.
        seed: Of the resampling.

    Raises:
        DataError: If the two do not have the same seeds and questions.
    """
    if len(first) != len(second) or not first or {len(rows) for rows in (*first, *second)} != {len(pictures)}:
        got = f"{len(first)} and {len(second)} seeds"
        raise DataError(sentence(got, "the same seeds and questions of both", "score the same runs again"))
    pairs = [_scores(pair, score) for pair in zip(first, second, strict=True)]
    random = np.random.default_rng(seed)
    everything = _by_seed(pairs, np.ones(len(pictures)))
    values = []
    for weights in drawn_weights(pictures, draws, random):
        each = _by_seed(pairs, weights)
        values.append(each.mean() + _of_seeds(each, random))
    low, high = np.quantile(values, [0.025, 0.975])
    by_seed = tuple(float(value) for value in everything)
    return Difference(value=float(everything.mean()), low=float(low), high=float(high), by_seed=by_seed)


def drawn_weights(pictures: Sequence[str], draws: int, random: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return for each draw how often each question counts, `(N,)`."""
    _, places = np.unique(np.asarray(pictures), return_inverse=True)
    number = int(places.max()) + 1
    drawn = (random.integers(0, number, number) for _ in range(draws))
    return [np.bincount(chosen, minlength=number).astype(np.float64)[places] for chosen in drawn]


def _scores(pair: tuple[NDArray[np.int64], NDArray[np.int64]], score: Score) -> tuple[Weighted, Weighted]:
    first, second = (score(counts(rows).astype(np.float64)) for rows in pair)
    return first, second


def _by_seed(pairs: list[tuple[Weighted, Weighted]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([first(weights) - second(weights) for first, second in pairs])


def _of_seeds(each: NDArray[np.float64], random: np.random.Generator) -> float:
    """How far the mean of resampled seeds lies from that of all, widened for their small number."""
    number = len(each)
    if number < 2:
        return 0.0
    chosen = each[random.integers(0, number, number)]
    return float((chosen.mean() - each.mean()) * (number / (number - 1)) ** 0.5)
