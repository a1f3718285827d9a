"""The sweep over 49 thresholds of CLIPSeg's scorer, reproduced exactly.

Source: `FixedIntervalMetrics` of timojl/clipseg (`metrics.py`), Lüddecke and Ecker, "Image Segmentation Using Text and
Image Prompts" (CVPR 2022). Every formula carries the 1 that its code adds to the divisor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.simpson import simpson, simpson_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = np.linspace(0, 1, 51)[1:-1]
"""float64 `(49,)`: 0.02, 0.04, ..., 0.98."""

# torch compares a float32 map with a Python number in float32, so a float32 0.3 is not above 0.3.
_EDGES = np.concatenate([[-np.inf], THRESHOLDS, [np.inf]]).astype(np.float32)

_AT_ONCE = 1 << 18
"""Pixels counted at once: what is computed about them fits a processor's cache."""


def threshold_bins(probability: NDArray[np.float32]) -> NDArray[np.intp]:
    """Count for every pixel the thresholds strictly below it: `(49 thresholds < p).sum()`."""
    # The guess by multiplication is right or one too high; comparing with the threshold itself decides.
    steps = (probability * np.float32(50)).astype(np.intp)
    steps -= probability <= _EDGES[steps]
    return steps


def histogram(
    probability: NDArray[np.float32], ground_truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count pixels by `threshold_bins`, in one pass.

    Args:
        probability: float32 in [0, 1], any shape.
        ground_truth: bool, the same shape.
        ignored: bool, the same shape: pixels left out; None = none.

    Returns:
        int64 `(2, 50)`: pixels outside the ground truth, then pixels of it.

    Raises:
        DataError: If a value is not a probability.
    """
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        got = f"values from {probability.min()} to {probability.max()}"
        raise DataError(sentence(got, "probabilities in [0, 1]", "pass the sigmoid of the logits"))
    if ignored is not None:
        probability, ground_truth = probability[~ignored], ground_truth[~ignored]
    values, flags = probability.ravel(), ground_truth.ravel().view(np.uint8)
    counted = np.zeros(100, np.int64)
    for start in range(0, len(values), _AT_ONCE):
        bins = threshold_bins(values[start : start + _AT_ONCE])
        bins += flags[start : start + _AT_ONCE] * np.uint8(50)
        counted += np.bincount(bins, minlength=100)
    return counted.reshape(2, 50)


def counts(histograms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return TP, FP, FN, TN at every threshold: int64 `(..., 4, 49)` of histograms `(..., 2, 50)`."""
    below = np.cumsum(histograms, axis=-1)
    above = below[..., -1:] - below
    wrong, right = above[..., 0, :-1], above[..., 1, :-1]
    return np.stack([right, wrong, below[..., 1, :-1], below[..., 0, :-1]], axis=-2)


def iou_fg(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute TP / (1 + TP + FP + FN): `(..., 49)` of counts `(..., 4, 49)`."""
    tp, fp, fn = (counted[..., row, :] for row in range(3))
    return np.asarray(tp / (1 + tp + fp + fn), dtype=np.float64)


def iou_bin(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the mean of `iou_fg` and its counterpart for the background, TN / (1 + TN + FN + FP)."""
    fp, fn, tn = (counted[..., row, :] for row in (1, 2, 3))
    return np.asarray(0.5 * iou_fg(counted) + 0.5 * (tn / (1 + tn + fn + fp)), dtype=np.float64)


def curve(counted: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the reference's recall and precision, each with 1 added to its divisor.

    Thresholds above every pixel are left out, as are repeated points; sorted by recall, then by precision (the
    reference leaves the order of equal recalls to chance).
    """
    tp, fp, fn = (counted[row] for row in range(3))
    used = tp + fp > 0
    points = np.stack([tp / (1 + tp + fn), tp / (1 + tp + fp)], axis=1)[used]
    points = np.unique(points, axis=0)
    return points[:, 0], points[:, 1]


def ap(counted: NDArray[np.int64], *, rule: Literal["2023", "2021"] = "2023") -> float:
    """Compute the reference's average precision: Simpson's rule over the irregular recalls of `curve`.

    Nothing is added at recall 0 or 1, so a hard 0/1 mask has AP 0 and a perfectly ranked map less than 1. The rule
    for an even number of points changed with SciPy 1.11 (2023): "2023" equals `scipy.integrate.simpson` from then on,
    "2021" its older default, `even="avg"`, with which the paper's numbers were made. They agree on odd numbers.

    Args:
        counted: int64 `(4, 49)`, summed over the data set.
        rule: Which of the two.
    """
    recall, precision = curve(counted)
    return (simpson if rule == "2023" else simpson_average)(precision, recall)


def step_ap(histograms: NDArray[np.int64]) -> float:
    """Compute conventional average precision, sum of (R_n - R_(n-1)) P_n, of pixels ranked by `threshold_bins`.

    Equal to scikit-learn's `average_precision_score(ground_truth, threshold_bins(probability))`; `nan` without a true
    pixel.

    Args:
        histograms: int64 `(2, 50)`, summed over the data set.
    """
    fp, tp = np.cumsum(histograms[:, ::-1], axis=1)
    if not tp[-1]:
        return math.nan
    precision = tp / np.maximum(tp + fp, 1)
    return math.fsum(np.diff(tp, prepend=0) / tp[-1] * precision)


def position(threshold: float) -> int:
    """Return the index of a threshold in `THRESHOLDS`.

    Raises:
        DataError: If it is not one of them.
    """
    near = np.flatnonzero(np.isclose(THRESHOLDS, threshold, rtol=0, atol=1e-9))
    if not len(near):
        raise DataError(sentence(f"the threshold {threshold}", "one of 0.02, 0.04, ..., 0.98", "round it to one"))
    return int(near[0])
