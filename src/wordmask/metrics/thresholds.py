"""The sweep over 49 thresholds by which CLIPSeg is scored, exactly.

Source: `FixedIntervalMetrics` of timojl/clipseg (`metrics.py`), Lüddecke and Ecker, "Image Segmentation Using Text and
Image Prompts" (CVPR 2022). Every formula carries the 1 that its code adds to the divisor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.accumulator import Accumulator
from wordmask.metrics.simpson import simpson, simpson_average

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

THRESHOLDS = np.linspace(0, 1, 51)[1:-1]
"""float64 `(49,)`: 0.02, 0.04, ..., 0.98."""

# torch compares a float32 map with a Python number in float32, so a float32 0.3 is not above 0.3.
_EDGES = np.concatenate([[-np.inf], THRESHOLDS, [np.inf]]).astype(np.float32)

_AT_ONCE = 1 << 18
"""Pixels counted at once: what is computed about them fits a processor's cache."""


def levels(probability: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return for every pixel how many of the thresholds lie strictly below it: `(49 thresholds < p).sum()`."""
    # The guess by multiplication is right or one too high; comparing with the threshold itself settles which.
    steps = (probability * np.float32(50)).astype(np.intp)
    steps -= probability <= _EDGES[steps]
    return steps


def histogram(
    probability: NDArray[np.float32], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count pixels by `levels`, in one pass.

    Args:
        probability: float32 in [0, 1], any shape.
        truth: bool, the same shape.
        ignored: bool, the same shape: pixels left out; None = none.

    Returns:
        int64 `(2, 50)`: pixels outside the truth, then pixels of the truth.

    Raises:
        DataError: If a value is not a probability.
    """
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        got = f"values from {probability.min()} to {probability.max()}"
        raise DataError(sentence(got, "probabilities in [0, 1]", "pass the sigmoid of the logits"))
    if ignored is not None:
        probability, truth = probability[~ignored], truth[~ignored]
    values, flags = probability.ravel(), truth.ravel().view(np.uint8)
    counted = np.zeros(100, np.int64)
    for start in range(0, len(values), _AT_ONCE):
        bins = levels(values[start : start + _AT_ONCE])
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
    """Return TP / (1 + TP + FP + FN): `(..., 49)` of counts `(..., 4, 49)`."""
    tp, fp, fn = (counted[..., row, :] for row in range(3))
    return np.asarray(tp / (1 + tp + fp + fn), dtype=np.float64)


def iou_bin(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of `iou_fg` and its mirror for the ground, TN / (1 + TN + FN + FP)."""
    fp, fn, tn = (counted[..., row, :] for row in (1, 2, 3))
    return np.asarray(0.5 * iou_fg(counted) + 0.5 * (tn / (1 + tn + fn + fp)), dtype=np.float64)


def miou(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of `iou_fg` over classes: `(49,)` of counts summed within each class, `(C, 4, 49)`."""
    return np.asarray(iou_fg(counted).mean(axis=0), dtype=np.float64)


def curve(counted: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the reference's recall and precision, each with 1 added to its divisor.

    Thresholds above every pixel are left out, as are repeated points; sorted by recall, then by precision (the
    reference leaves the order of equal recalls to chance).
    """
    tp, fp, fn = (counted[row] for row in range(3))
    used = tp + fp > 0
    points = np.stack([tp / (1 + tp + fn), tp / (1 + tp + fp)], axis=1)[used]
    points = np.unique(points, axis=0)
    return points[:, 0], points[:, 1]


def ap(counted: NDArray[np.int64], *, rule: Literal["2023", "2021"] = "2023") -> float:
    """Return the reference's average precision: Simpson's rule over the irregular recalls of `curve`.

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
    """Return conventional average precision, sum of (R_n - R_(n-1)) P_n, of pixels ranked by `levels`.

    Equal to scikit-learn's `average_precision_score(truth, levels(probability))`; `nan` without a true pixel.

    Args:
        histograms: int64 `(2, 50)`, summed over the data set.
    """
    fp, tp = np.cumsum(histograms[:, ::-1], axis=1)
    if not tp[-1]:
        return math.nan
    precision = tp / np.maximum(tp + fp, 1)
    return math.fsum(np.diff(tp, prepend=0) / tp[-1] * precision)


def position(threshold: float) -> int:
    """Return where a threshold stands in `THRESHOLDS`.

    Raises:
        DataError: If it is not one of them.
    """
    near = np.flatnonzero(np.isclose(THRESHOLDS, threshold, rtol=0, atol=1e-9))
    if not len(near):
        raise DataError(sentence(f"the threshold {threshold}", "one of 0.02, 0.04, ..., 0.98", "round it to one"))
    return int(near[0])


@dataclass(frozen=True, eq=False)
class Sweep(Accumulator):
    """All of CLIPSeg's scores from one histogram per class.

    Attributes:
        group_by: What a class is for mIoU: the label (Pascal, COCO), or the key, which makes every judgement a class
            of its own (PhraseCut). An empty truth scores 0 even when nothing was answered, as in the reference.
        at: Thresholds whose scores `compute` names beside the best.
        histograms: int64 `(2, 50)` by class.
    """

    group_by: Literal["label", "key"] = "label"
    at: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    histograms: dict[str, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.group_by not in ("label", "key"):
            raise DataError(sentence(f"group_by {self.group_by!r}", "'label' or 'key'", "choose one of these"))
        for threshold in self.at:
            position(threshold)

    def update(self, judged: Judged) -> None:
        """Count one judgement; one without a pixel that counts adds nothing.

        Raises:
            DataError: If it has no probability map.
        """
        if judged.probability is None:
            got = f"no probability map for {judged.key!r}"
            raise DataError(sentence(got, "one, to sweep thresholds over", "use a metric of masks for this method"))
        if judged.pixels:
            name = judged.label if self.group_by == "label" else judged.key
            self._add(name, histogram(judged.probability, judged.truth, judged.ignored))

    def counts(self) -> NDArray[np.int64]:
        """Return int64 `(C, 4, 49)`: TP, FP, FN, TN of every class, by name."""
        return counts(self._stacked())

    def compute(self) -> dict[str, float]:
        """Return AP in three definitions and every IoU at its best and at the thresholds `at`."""
        if not self.histograms:
            return dict.fromkeys(self._names(), math.nan)
        total, by_class = self._stacked().sum(axis=0), self.counts()
        summed = by_class.sum(axis=0)
        scores = {"ap": ap(summed), "ap_2021": ap(summed, rule="2021"), "step_ap": step_ap(total)}
        for name, values in (("iou_fg", iou_fg(summed)), ("iou_bin", iou_bin(summed)), ("miou", miou(by_class))):
            scores |= {f"{name}_best": float(values.max()), f"{name}_best_t": float(THRESHOLDS[values.argmax()])}
            scores |= {f"{name}@{threshold:g}": float(values[position(threshold)]) for threshold in self.at}
        return scores

    def _names(self) -> list[str]:
        per_iou = ["_best", "_best_t", *(f"@{threshold:g}" for threshold in self.at)]
        return ["ap", "ap_2021", "step_ap", *(iou + end for iou in ("iou_fg", "iou_bin", "miou") for end in per_iou)]

    def _stacked(self) -> NDArray[np.int64]:
        # Sorted, so that the float sum over classes does not depend on which process saw which class first.
        return np.stack([self.histograms[name] for name in sorted(self.histograms)])

    def _add(self, name: str, counted: NDArray[np.int64]) -> None:
        known = self.histograms.get(name)
        self.histograms[name] = counted.copy() if known is None else known + counted

    def _content(self) -> dict[str, Any]:
        return {name: counted.tolist() for name, counted in self.histograms.items()}

    def _restore(self, content: dict[str, Any]) -> None:
        for name, counted in content.items():
            self._add(name, np.array(counted, dtype=np.int64).reshape(2, 50))

    def _absorb(self, other: Self) -> None:
        for name, counted in other.histograms.items():
            self._add(name, counted)


def at_threshold(histograms: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Return TP, FP, FN, TN at one threshold, int64 `(..., 4)` of `(..., 2, 50)`: a row for `bootstrap`."""
    return counts(histograms)[..., position(threshold)]
