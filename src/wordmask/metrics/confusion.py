"""Scores of label maps from one confusion matrix over the whole set.

Conventions of mean IoU, which differ only where a class occurs nowhere in the truth:

| name | averaged over | a class answered but never true | a class that is nowhere |
|---|---|---|---|
| `miou` (detectron2, OVSeg, SAN) | classes true or answered somewhere | 0 | left out |
| `miou_truth` | classes true somewhere | left out | left out |
| `miou_zero` (JoEm, CLIPSeg's zero-shot) | all classes | 0 | 0 |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.metrics.accumulator import Accumulator, mean, quotient, ratio

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

IGNORED = -1
"""Label of pixels of which the truth says nothing; in an answer, of pixels given no class."""


def confusion(answer: NDArray[Any], truth: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count pixels by true class and answered class.

    Args:
        answer: int `(H, W)` of 0 to `classes - 1`; -1 where no class was given, which counts as a miss.
        truth: int `(H, W)` of 0 to `classes - 1`; -1 where nothing is known, which leaves the pixel out.
        classes: Number of classes C.

    Returns:
        int64 `(C, C + 1)`; rows are the truth, the last column is "no class".

    Raises:
        DataError: If shapes differ or a label is out of range.
    """
    if answer.shape != truth.shape:
        got = f"an answer {answer.shape} for a truth {truth.shape}"
        raise DataError(sentence(got, "one shape", "resize the answer to the truth with nearest neighbours"))
    for name, labels in (("the answer", answer), ("the truth", truth)):
        _require_labels(name, labels, classes)
    known = truth != IGNORED
    answered = answer[known].astype(np.int64)
    answered[answered == IGNORED] = classes
    cells = truth[known].astype(np.int64) * (classes + 1) + answered
    counted = np.bincount(cells, minlength=classes * (classes + 1))
    return counted.reshape(classes, classes + 1).astype(np.int64)


def _require_labels(name: str, labels: NDArray[Any], classes: int) -> None:
    expected = f"whole numbers from -1 to {classes - 1}"
    if labels.dtype.kind not in "iu":
        raise DataError(sentence(f"{name} as {labels.dtype}", expected, "convert it to int32"))
    if labels.size and not (labels.min() >= IGNORED and labels.max() < classes):
        got = f"{name} with labels from {labels.min()} to {labels.max()}"
        raise DataError(sentence(got, expected, "map other labels, such as 255, to -1"))


def class_counts(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return TP, FP, FN of every class, int64 `(C, 3)`: rows for `bootstrap`, taken of one picture's matrix."""
    right = matrix.diagonal()
    return np.stack([right, matrix[:, :-1].sum(axis=0) - right, matrix.sum(axis=1) - right], axis=1)


def class_ious(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return IoU of every class, float64 `(C,)`: TP / (TP + FP + FN), `nan` for a class that is nowhere."""
    counted = class_counts(matrix)
    return quotient(counted[:, 0], counted.sum(axis=1), otherwise=math.nan)


def mean_iou(values: NDArray[np.float64], *, absent: float | None = None) -> float:
    """Return the mean of IoUs; a class that is nowhere (`nan`) is left out, or counts as `absent` if that is given."""
    known = ~np.isnan(values)
    return mean(values[known] if absent is None else np.where(known, values, absent))


def harmonic_mean(first: float, second: float) -> float:
    """Return the harmonic mean of two scores; 0 where both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0


@dataclass(frozen=True, eq=False)
class Confusion(Accumulator):
    """mIoU in three conventions, frequency-weighted IoU, accuracies, and seen beside unseen classes.

    Attributes:
        names: The classes, in the order of the labels.
        unseen: Those among them that training held out; the others, the background among them, are "seen".
        matrix: int64 `(C, C + 1)`, see `confusion`.
    """

    names: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    matrix: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.unseen) - set(self.names))
        if unknown or not self.names:
            got = f"the unseen class {quote(unknown[0])}" if unknown else "no class"
            raise DataError(sentence(got, "at least one class, the unseen among them", "name the classes of the set"))
        object.__setattr__(self, "matrix", np.zeros((len(self.names), len(self.names) + 1), np.int64))

    def update(self, answer: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count one picture; see `confusion`."""
        self.add(confusion(answer, truth, len(self.names)))

    def add(self, matrix: NDArray[np.int64]) -> None:
        """Count what `confusion` returned for one or more pictures."""
        np.add(self.matrix, matrix, out=self.matrix)

    def ious(self) -> dict[str, float]:
        """Return the IoU of every class by name; `nan` for one that is nowhere."""
        return dict(zip(self.names, class_ious(self.matrix).tolist(), strict=True))

    def compute(self) -> dict[str, float]:
        """Return the scores over all classes and, if classes are unseen, their split and its harmonic mean."""
        matrix, total = self.matrix, int(self.matrix.sum())
        right, true = matrix.diagonal(), matrix.sum(axis=1)
        values = class_ious(matrix)
        weighted = math.fsum(np.where(true > 0, true * np.nan_to_num(values), 0.0))
        scores = {
            "miou": mean_iou(values),
            "miou_truth": mean_iou(values[true > 0]),
            "miou_zero": mean_iou(values, absent=0.0) if total else math.nan,
            "fwiou": ratio(weighted, total),
            "pixel_accuracy": ratio(int(right.sum()), total),
            "mean_accuracy": mean(right[true > 0] / true[true > 0]),
        }
        return scores | (self._split(values) if self.unseen else {})

    def _split(self, values: NDArray[np.float64]) -> dict[str, float]:
        held_out = np.array([name in self.unseen for name in self.names])
        seen, unseen = (self._part(values[part]) for part in (~held_out, held_out))
        return {"miou_seen": seen, "miou_unseen": unseen, "harmonic": harmonic_mean(seen, unseen)}

    def _part(self, values: NDArray[np.float64]) -> float:
        return mean_iou(values, absent=0.0) if self.matrix.any() else math.nan

    def _content(self) -> dict[str, Any]:
        return {"matrix": self.matrix.tolist()}

    def _restore(self, content: dict[str, Any]) -> None:
        self.add(np.array(content["matrix"], dtype=np.int64).reshape(self.matrix.shape))

    def _absorb(self, other: Self) -> None:
        self.add(other.matrix)
