"""Scores of presence with intervals over pictures: ranks are no sums, so they are weighted anew in every draw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.binary import matthews
from wordmask.metrics.presence import average_precision, brier, calibration_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.evaluate.rows import Rows

__all__ = ["presence_scores", "weighted_auroc", "weighted_fpr"]

RECALL = 0.95


def presence_scores(rows: Rows, *, draws: int, seed: int) -> dict[str, Any]:
    """Return scores of the question whether a thing is there; empty unless present and absent names were asked."""
    there = rows.there
    if not there.any() or there.all():
        return {}
    absent = ~there
    empty = rows.column("tp") + rows.column("fp") == 0
    scores = {"present": int(there.sum()), "absent": int(absent.sum())}
    scores |= _ranked(rows, there, draws, seed)
    cells = [rows.found & there, rows.found & absent, ~rows.found & there, ~rows.found & absent]
    counts = [np.array([np.count_nonzero(cell)], dtype=np.float64) for cell in cells]
    values = {
        "ap": average_precision(rows.presence, there),
        "mcc": float(matthews(*counts)[0]),
        "brier": brier(rows.presence, there),
        "ece": calibration_error(rows.presence, there),
        "empty_where_absent": float(empty[absent].mean()),
        "empty_where_present": float(empty[there].mean()),
    }
    return scores | {name: {"value": round(value, 6)} for name, value in values.items()}


def _ranked(rows: Rows, there: NDArray[np.bool_], draws: int, seed: int) -> dict[str, Any]:
    """Return AUROC and the false-positive rate at 95 % recall with their intervals."""
    _, places = np.unique(rows.presence, return_inverse=True)
    number, random = rows.pictures, np.random.default_rng(seed)
    values = np.empty((draws + 1, 2))
    for draw in range(draws + 1):
        weights = np.ones(number) if not draw else np.bincount(random.integers(0, number, number), minlength=number)
        by_row = weights[rows.picture].astype(np.float64)
        right = np.bincount(places, by_row * there)
        wrong = np.bincount(places, by_row * ~there)
        values[draw] = weighted_auroc(right, wrong), weighted_fpr(right, wrong)
    return {name: _json(values[:, column]) for column, name in enumerate(("auroc", f"fpr@{RECALL:g}"))}


def _json(values: NDArray[Any]) -> dict[str, float | None]:
    defined = values[1:][~np.isnan(values[1:])]
    ends = np.quantile(defined, [0.025, 0.975]).tolist() if len(defined) else [None, None]
    low, high = (None if end is None else round(float(end), 6) for end in ends)
    return {"value": round(float(values[0]), 6), "low": low, "high": high}


def weighted_auroc(right: NDArray[Any], wrong: NDArray[Any]) -> float:
    """Return the area under the ROC curve of weights of present and absent things by rising score; `nan` undefined."""
    if not right.sum() or not wrong.sum():
        return math.nan
    below = np.cumsum(wrong) - wrong / 2
    return float((right * below).sum() / (right.sum() * wrong.sum()))


def weighted_fpr(right: NDArray[Any], wrong: NDArray[Any], *, recall: float = RECALL) -> float:
    """Return the false-positive rate at the highest score that finds `recall` of the present things."""
    if not right.sum() or not wrong.sum():
        return math.nan
    found = np.cumsum(right[::-1])
    first = int(np.argmax(found / found[-1] >= recall))
    return float(np.cumsum(wrong[::-1])[first] / wrong.sum())
