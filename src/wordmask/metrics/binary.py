"""Scores of one binary mask per picture, averaged over pictures, as medical papers report them.

Source of the set of scores: the tables of IMSS ("Towards Small Target Segmentation under Guidance of Text Prompt in
Open Scene"), mean ± standard deviation over images. Where a score divides by zero this convention holds:

| truth | answer | Dice, IoU, recall, precision, MCC |
|---|---|---|
| empty | empty | 1 |
| empty | not empty | 0 |
| not empty | empty | 0 |
| everything | everything | 1 |

Specificity is 1 where the truth leaves no ground, since there is nothing to raise a false alarm on. Otherwise an MCC
with an empty factor in its divisor is 0. A picture without a pixel that counts is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from wordmask.metrics.accumulator import PerSample, deviation, mean, quotient
from wordmask.metrics.judged import confusion_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged


def binary_scores(rows: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return every score of every picture, float64 `(N,)` by name.

    Args:
        rows: int64 `(N, 4)`: TP, FP, FN, TN in pixels.
    """
    # float64: the four factors of MCC's divisor pass int64 from 2048x2048 pixels on.
    tp, fp, fn, tn = np.asarray(rows, dtype=np.float64).T
    perfect = (fp + fn == 0).astype(np.float64)
    return {
        "recall": quotient(tp, tp + fn, otherwise=perfect),
        "precision": quotient(tp, tp + fp, otherwise=perfect),
        "specificity": quotient(tn, tn + fp, otherwise=1.0),
        "dice": quotient(2 * tp, 2 * tp + fp + fn, otherwise=perfect),
        "iou": quotient(tp, tp + fp + fn, otherwise=perfect),
        "mcc": matthews(tp, fp, fn, tn),
    }


def matthews(
    tp: NDArray[np.float64], fp: NDArray[np.float64], fn: NDArray[np.float64], tn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Matthews' correlation coefficient of float64 counts of one shape; see the module for empty divisors."""
    perfect = (fp + fn == 0).astype(np.float64)
    divisor = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return quotient(tp * tn - fp * fn, divisor, otherwise=perfect)


@dataclass(frozen=True, eq=False)
class Binary(PerSample):
    """Recall, precision, specificity, Dice, IoU and MCC, their mean and deviation; rows are TP, FP, FN, TN."""

    columns: ClassVar[tuple[str, ...]] = ("tp", "fp", "fn", "tn")

    def update(self, judged: Judged) -> None:
        """Count one judgement."""
        if judged.pixels:
            self._keep(judged, confusion_counts(judged.mask, judged.truth, judged.ignored))

    def compute(self) -> dict[str, float]:
        """Return the mean of every score under its name and the deviation (ddof 0) under `NAME_std`."""
        scores = binary_scores(self.rows())
        means = {name: mean(values) for name, values in scores.items()}
        return means | {f"{name}_std": deviation(values) for name, values in scores.items()}
