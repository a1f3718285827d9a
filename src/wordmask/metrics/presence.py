"""Scores of presence: is the thing in the image at all?

Ranking scores take counts by rising score (`counts_by_score`), which may be weighted: a bootstrap weights images
anew in every draw without sorting again. Sources: scikit-learn's definitions; Brier (1950); Naeini et al. (2015).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.means import mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Counts = NDArray[Any]


def counts_by_score(scores: Scores, present: Flags) -> tuple[Counts, Counts]:
    """Count present and absent things at every distinct score, rising: int64 `(S,)` each.

    Args:
        scores: float64 `(N,)`, probabilities of presence.
        present: bool `(N,)`.
    """
    distinct, places = np.unique(scores, return_inverse=True)
    return tuple(np.bincount(places[flags], minlength=len(distinct)) for flags in (present, ~present))  # type: ignore[return-value]


def auroc(positives: Counts, negatives: Counts) -> float:
    """Compute the area under the ROC curve of counts `(S,)`; ties count a half, `nan` where one kind is missing."""
    if not positives.sum() or not negatives.sum():
        return math.nan
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / (positives.sum() * negatives.sum()))


def fpr_at_recall(positives: Counts, negatives: Counts, *, recall: float = 0.95) -> float:
    """Compute the false-positive rate at the highest threshold that finds at least `recall` of the present things."""
    if not positives.sum() or not negatives.sum():
        return math.nan
    found = np.cumsum(positives[::-1])
    first = int(np.argmax(found / found[-1] >= recall))
    return float(np.cumsum(negatives[::-1])[first] / negatives.sum())


def average_precision(positives: Counts, negatives: Counts) -> float:
    """Compute step-wise average precision, sum of (R_n - R_(n-1)) P_n; `nan` where nothing is present."""
    if not positives.sum():
        return math.nan
    tp, fp = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    return math.fsum(np.diff(tp, prepend=0) / tp[-1] * (tp / np.maximum(tp + fp, 1)))


def brier(scores: Scores, present: Flags) -> float:
    """Compute the Brier score: the mean squared difference of probability and outcome, in [0, 1]."""
    return mean((scores - present) ** 2)


def calibration_error(scores: Scores, present: Flags, *, bins: int = 15) -> float:
    """Compute the expected calibration error over equally wide bins, weighted by their number of things.

    A bin holds its upper edge, the first one 0 as well; `nan` of nothing.
    """
    if not len(scores):
        return math.nan
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    places = np.searchsorted(edges, scores, side="left")
    gaps = [math.fsum(present[places == place] - scores[places == place]) for place in range(bins)]
    return math.fsum(abs(gap) for gap in gaps) / len(scores)
