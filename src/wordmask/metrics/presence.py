"""Scores of the question whether a thing is in the picture at all.

Every function takes `scores`, float64 `(N,)` probabilities, and `there`, bool `(N,)`. A score that compares the two
kinds is `nan` where one of them is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.metrics.accumulator import PerSample, mean
from wordmask.metrics.binary import matthews

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

    Scores = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def _ranked(scores: Scores, there: Flags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return true and false alarms at or above every distinct score, highest first: equal scores are one step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1) if len(scores) else np.zeros(0, np.int64)
    right = np.cumsum(there[order], dtype=np.int64)[ends]
    return right, ends + 1 - right


def auroc(scores: Scores, there: Flags) -> float:
    """Return the area under the ROC curve: the chance that a present thing outscores an absent one, ties a half."""
    right, wrong = _ranked(scores, there)
    if not len(right) or not right[-1] or not wrong[-1]:
        return math.nan
    twice = np.diff(wrong, prepend=0) * (right + np.concatenate([[0], right[:-1]]))
    return int(twice.sum()) / (2 * int(right[-1]) * int(wrong[-1]))


def fpr_at_recall(scores: Scores, there: Flags, *, recall: float = 0.95) -> float:
    """Return the false-positive rate at the highest threshold that finds at least `recall` of the present things."""
    right, wrong = _ranked(scores, there)
    if not len(right) or not right[-1] or not wrong[-1]:
        return math.nan
    first = int(np.argmax(right / right[-1] >= recall))
    return int(wrong[first]) / int(wrong[-1])


def average_precision(scores: Scores, there: Flags) -> float:
    """Return step-wise average precision, sum of (R_n - R_(n-1)) P_n; `nan` where nothing is present."""
    right, wrong = _ranked(scores, there)
    if not len(right) or not right[-1]:
        return math.nan
    return math.fsum(np.diff(right, prepend=0) / right[-1] * (right / (right + wrong)))


def mcc(scores: Scores, there: Flags, *, threshold: float) -> float:
    """Return Matthews' correlation of "score at least `threshold`" with the truth; 0 where one kind is missing and
    not all answers are right, 1 where all are.
    """
    if not len(scores):
        return math.nan
    said = scores >= threshold
    cells = [said & there, said & ~there, ~said & there, ~said & ~there]
    tp, fp, fn, tn = (np.array([np.count_nonzero(cell)], dtype=np.float64) for cell in cells)
    return float(matthews(tp, fp, fn, tn)[0])


def brier(scores: Scores, there: Flags) -> float:
    """Return the mean squared difference of probability and truth (Brier 1950, for two outcomes: in [0, 1])."""
    return mean((scores - there) ** 2)


def calibration_error(scores: Scores, there: Flags, *, bins: int = 15) -> float:
    """Return the expected calibration error of the probability of presence.

    Mean over equally wide bins, weighted by their number, of |share present - mean probability| (Naeini et al. 2015).
    A bin holds its upper edge, the first one 0 as well.
    """
    if not len(scores):
        return math.nan
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    places = np.searchsorted(edges, scores, side="left")
    gaps = [math.fsum(there[places == place] - scores[places == place]) for place in range(bins)]
    return math.fsum(abs(gap) for gap in gaps) / len(scores)


@dataclass(frozen=True, eq=False)
class Presence(PerSample):
    """All of these from one row per prompt: the score and whether the thing is there.

    Attributes:
        threshold: Presence from which on a thing counts as found, for MCC.
        recall: Share of present things that must be found, for the false-positive rate.
        bins: Of the calibration error.
    """

    threshold: float = 0.5
    recall: float = 0.95
    bins: int = 15
    columns: ClassVar[tuple[str, ...]] = ("score", "there")
    whole: ClassVar[bool] = False

    def update(self, judged: Judged) -> None:
        """Count one judgement; the thing is there if its truth has a pixel that counts.

        Raises:
            DataError: If it has no presence.
        """
        if judged.presence is None:
            got = f"no presence for {quote(judged.key)}"
            raise DataError(sentence(got, "a probability", "leave this metric out for methods without presence"))
        if judged.pixels:
            self._keep(judged, (judged.presence, float(judged.there)))

    def compute(self) -> dict[str, float]:
        """Return `auroc`, `fpr@RECALL`, `ap`, `mcc`, `brier`, `ece`."""
        rows = self.rows()
        scores, there = rows[:, 0], rows[:, 1] > 0
        return {
            "auroc": auroc(scores, there),
            f"fpr@{self.recall:g}": fpr_at_recall(scores, there, recall=self.recall),
            "ap": average_precision(scores, there),
            "mcc": mcc(scores, there, threshold=self.threshold),
            "brier": brier(scores, there),
            "ece": calibration_error(scores, there, bins=self.bins),
        }
