"""Scores of one binary mask per image, as medical papers report them.

Source of the set of scores: the tables of IMSS ("Towards Small Target Segmentation under Guidance of Text Prompt in
Open Scene"), mean and standard deviation over images. Where a score divides by zero:

| ground truth | prediction | Dice, IoU, recall, precision, MCC |
|---|---|---|
| empty | empty | 1 |
| empty | not empty | 0 |
| not empty | empty | 0 |
| everything | everything | 1 |

Specificity is 1 where the ground truth has no background pixel. Otherwise an MCC with an empty factor in its divisor
is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.means import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray


def binary_scores(rows: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Compute recall, precision, specificity, Dice, IoU and MCC of every row, float64 `(N,)` by name.

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
    """Compute Matthews' correlation coefficient of float64 counts of one shape; empty divisors: see the module."""
    perfect = (fp + fn == 0).astype(np.float64)
    divisor = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return quotient(tp * tn - fp * fn, divisor, otherwise=perfect)
