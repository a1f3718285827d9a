"""Scores of presence with intervals over images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.score.intervals import mean_over_images
from wordmask.metrics.binary import matthews
from wordmask.metrics.presence import (
    auroc,
    average_precision,
    brier,
    calibration_error,
    counts_by_score,
    fpr_at_recall,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.evaluation.score.rows import Rows

__all__ = ["presence_scores"]

RECALL = 0.95


def presence_scores(rows: Rows, *, draws: int, seed: int) -> dict[str, Any]:
    """Score whether the model tells present from absent things; empty unless absent names were asked for.

    `absent_with_mask` is the share of absent names that get a mask (false positives), `present_without_mask` the share
    of present ones that get none. Scores that rank need both kinds.
    """
    present, absent = rows.present, ~rows.present
    if not absent.any():
        return {}
    scores: dict[str, Any] = {"present": int(present.sum()), "absent": int(absent.sum())}
    for name, kind, flags in (
        ("absent_with_mask", absent, rows.masked),
        ("present_without_mask", present, ~rows.masked),
    ):
        found = mean_over_images(flags[kind], rows.image[kind], rows.images, draws=draws, seed=seed)
        scores |= {} if found is None else {name: found}
    if not present.any():
        return scores
    cells = [rows.detected & present, rows.detected & absent, ~rows.detected & present, ~rows.detected & absent]
    counts = [np.array([np.count_nonzero(cell)], dtype=np.float64) for cell in cells]
    values = {
        "ap": average_precision(*counts_by_score(rows.presence, present)),
        "mcc": float(matthews(*counts)[0]),
        "brier": brier(rows.presence, present),
        "ece": calibration_error(rows.presence, present),
    }
    ranked = _ranked(rows, draws, seed)
    return scores | ranked | {name: {"value": round(value, 6)} for name, value in values.items()}


def _ranked(rows: Rows, draws: int, seed: int) -> dict[str, Any]:
    """Compute AUROC and the false-positive rate at 95 % recall: ranks are no sums, so every draw weights them anew."""
    _, places = np.unique(rows.presence, return_inverse=True)
    number, random = rows.images, np.random.default_rng(seed)
    values = np.empty((draws + 1, 2))
    for draw in range(draws + 1):
        weights = np.ones(number) if not draw else np.bincount(random.integers(0, number, number), minlength=number)
        by_row = weights[rows.image].astype(np.float64)
        positives = np.bincount(places, by_row * rows.present)
        negatives = np.bincount(places, by_row * ~rows.present)
        values[draw] = auroc(positives, negatives), fpr_at_recall(positives, negatives, recall=RECALL)
    return {name: _json(values[:, column]) for column, name in enumerate(("auroc", f"fpr@{RECALL:g}"))}


def _json(values: NDArray[Any]) -> dict[str, float | None]:
    defined = values[1:][~np.isnan(values[1:])]
    ends = np.quantile(defined, [0.025, 0.975]).tolist() if len(defined) else [None, None]
    low, high = (None if end is None else round(float(end), 6) for end in ends)
    return {"value": round(float(values[0]), 6), "low": low, "high": high}
