"""Scores of label maps, with intervals over pictures; see `wordmask.metrics.confusion` for the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluate.rows import Statistic, score_json
from wordmask.evaluate.scores import DRAWS, Scored
from wordmask.metrics.accumulator import quotient
from wordmask.metrics.bootstrap import interval, mean_over_groups
from wordmask.metrics.confusion import Confusion, class_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["label_counts", "label_scores", "statistics"]


def label_scores(
    records: Iterable[dict[str, Any]],
    names: tuple[str, ...],
    *,
    unseen: frozenset[str] = frozenset(),
    seed: int = 0,
    draws: int = DRAWS,
) -> Scored:
    """Return the scores of a run that gave every pixel a name.

    Args:
        records: What `Judge.record` made of every sample, in order.
        names: The set's vocabulary.
        unseen: Names held out of training.
        seed: Of the intervals.
        draws: Of the intervals.
    """
    total = Confusion(names, tuple(name for name in names if name in unseen))
    rows = label_counts(records, len(names), total)
    known = statistics(np.array([name in unseen for name in names]))
    scores = {}
    for name, value in total.compute().items():
        score = score_json(value) or {}
        if name in known and len(rows) > 1:
            ends = score_json(interval(rows, known[name], seed=seed, draws=draws)) or {}
            score |= {end: ends[end] for end in ("low", "high")}
        scores[name] = score
    by_name = {name: {"iou": score_json(value)} for name, value in total.ious().items()}
    return Scored(scores, by_name=by_name)


def label_counts(
    records: Iterable[dict[str, Any]], classes: int, total: Confusion | None = None
) -> NDArray[np.float64]:
    """Return TP, FP, FN of every class of every picture, float64 `(N, C * 3)`, and add the matrices to `total`."""
    pictures = []
    for record in records:
        matrix = np.zeros((classes, classes + 1), np.int64)
        for true, answered, pixels in record["confusion"]:
            matrix[true, answered] = pixels
        if total is not None:
            total.add(matrix)
        pictures.append(class_counts(matrix).astype(np.float64).ravel())
    return np.array(pictures).reshape(len(pictures), 3 * classes)


def statistics(held_out: NDArray[np.bool_]) -> dict[str, Statistic]:
    """Return how each score follows from summed TP, FP, FN `(..., C * 3)`."""

    def by_class(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        counted = sums.reshape(*sums.shape[:-1], len(held_out), 3)
        return quotient(counted[..., 0], counted.sum(axis=-1), otherwise=np.nan)

    def true(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums.reshape(*sums.shape[:-1], len(held_out), 3)[..., [0, 2]].sum(axis=-1))

    def right(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums[..., 0::3]

    def share(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
        return quotient(top.sum(axis=-1), bottom.sum(axis=-1), otherwise=np.nan)

    mean = mean_over_groups(lambda values: values)

    def part(sums: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return mean(np.nan_to_num(by_class(sums)[..., chosen]))

    def harmonic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        seen, unseen = part(sums, ~held_out), part(sums, held_out)
        return quotient(2 * seen * unseen, seen + unseen, otherwise=0.0)

    return {
        "miou": lambda sums: mean(by_class(sums)),
        "miou_truth": lambda sums: mean(np.where(true(sums) > 0, by_class(sums), np.nan)),
        "miou_zero": lambda sums: mean(np.nan_to_num(by_class(sums))),
        "fwiou": lambda sums: share(true(sums) * np.nan_to_num(by_class(sums)), true(sums)),
        "pixel_accuracy": lambda sums: share(right(sums), true(sums)),
        "mean_accuracy": lambda sums: mean(quotient(right(sums), true(sums), otherwise=np.nan)),
        "miou_seen": lambda sums: part(sums, ~held_out),
        "miou_unseen": lambda sums: part(sums, held_out),
        "harmonic": harmonic,
    }
