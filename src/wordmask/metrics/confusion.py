"""Scores of label maps from a confusion matrix.

Conventions of mean IoU, which differ only where a class has no pixel in the ground truth:

| name | averaged over | a class predicted but never true | a class that is nowhere |
|---|---|---|---|
| `miou` (detectron2, OVSeg, SAN) | classes true or predicted somewhere | 0 | left out |
| `miou_gt` | classes true somewhere | left out | left out |
| `miou_zero` (JoEm, CLIPSeg's zero-shot) | all classes | 0 | 0 |

All scores are functions of TP, FP and FN per class, `(..., C, 3)`: leading axes are draws of a bootstrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.means import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

UNLABELLED = -1
"""Label of pixels of unknown ground truth; in a prediction, of pixels given no class."""


def confusion_matrix(prediction: NDArray[Any], ground_truth: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        prediction: int `(H, W)` of 0 to `classes - 1`; -1 where no class was given, which counts as a miss.
        ground_truth: int `(H, W)` of 0 to `classes - 1`; -1 where nothing is known, which leaves the pixel out.
        classes: Number of classes C.

    Returns:
        int64 `(C, C + 1)`; rows are the ground truth, the last column is "no class".

    Raises:
        DataError: If shapes differ or a label is out of range.
    """
    if prediction.shape != ground_truth.shape:
        got = f"a prediction {prediction.shape} for a ground truth {ground_truth.shape}"
        raise DataError(sentence(got, "one shape", "resize the prediction with nearest neighbours"))
    for name, labels in (("the prediction", prediction), ("the ground truth", ground_truth)):
        _require_labels(name, labels, classes)
    known = ground_truth != UNLABELLED
    predicted = prediction[known].astype(np.int64)
    predicted[predicted == UNLABELLED] = classes
    cells = ground_truth[known].astype(np.int64) * (classes + 1) + predicted
    counted = np.bincount(cells, minlength=classes * (classes + 1))
    return counted.reshape(classes, classes + 1).astype(np.int64)


def _require_labels(name: str, labels: NDArray[Any], classes: int) -> None:
    expected = f"whole numbers from -1 to {classes - 1}"
    if labels.dtype.kind not in "iu":
        raise DataError(sentence(f"{name} as {labels.dtype}", expected, "convert it to int32"))
    if labels.size and not (labels.min() >= UNLABELLED and labels.max() < classes):
        got = f"{name} with labels from {labels.min()} to {labels.max()}"
        raise DataError(sentence(got, expected, "map other labels, such as 255, to -1"))


def class_counts(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return TP, FP, FN of every class, int64 `(C, 3)`, of a confusion matrix `(C, C + 1)`."""
    right = matrix.diagonal()
    return np.stack([right, matrix[:, :-1].sum(axis=0) - right, matrix.sum(axis=1) - right], axis=1)


def class_ious(counts: NDArray[Any]) -> Floats:
    """Compute TP / (TP + FP + FN) `(..., C)` of counts `(..., C, 3)`, `nan` for a class that is nowhere."""
    return quotient(counts[..., 0], counts.sum(axis=-1), otherwise=np.nan)


def nanmean(values: Floats) -> Floats:
    """Average over the last axis, `nan` left out; `nan` where nothing is left."""
    known = ~np.isnan(values)
    return quotient(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1), otherwise=np.nan)


def label_map_scores(counts: NDArray[Any], unseen: NDArray[np.bool_] | None = None) -> dict[str, Floats]:
    """Compute mIoU in three conventions, frequency-weighted IoU and accuracies, `(...)` by name.

    With unseen classes, also the mean IoU of seen and of unseen ones (absent classes count 0) and their harmonic mean.

    Args:
        counts: TP, FP, FN summed over images, `(..., C, 3)`.
        unseen: bool `(C,)`, classes held out of training; None = none.
    """
    ious, right, true = class_ious(counts), counts[..., 0], counts[..., 0] + counts[..., 2]
    known = np.nan_to_num(ious)
    some = true.sum(axis=-1)
    scores = {
        "miou": nanmean(ious),
        "miou_gt": nanmean(np.where(true > 0, ious, np.nan)),
        "miou_zero": np.where(some > 0, known.mean(axis=-1), np.nan),
        "fwiou": quotient((true * known).sum(axis=-1), some, otherwise=np.nan),
        "pixel_accuracy": quotient(right.sum(axis=-1), some, otherwise=np.nan),
        "mean_accuracy": nanmean(quotient(right, true, otherwise=np.nan)),
    }
    if unseen is None or not unseen.any():
        return scores
    halves = [np.where(some > 0, known[..., part].mean(axis=-1), np.nan) for part in (~unseen, unseen)]
    return scores | {
        "miou_seen": halves[0],
        "miou_unseen": halves[1],
        "harmonic": harmonic_mean(halves[0], halves[1]),
    }


def harmonic_mean(first: Floats, second: Floats) -> Floats:
    """Compute the harmonic mean of two scores `(...)`; 0 where both are 0."""
    return quotient(2 * first * second, first + second, otherwise=0.0)
