"""Scores of label maps against scikit-learn and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from wordmask.errors import DataError
from wordmask.metrics.confusion import class_counts, class_ious, confusion_matrix, harmonic_mean, label_map_scores

TRUE = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [-1, -1, 1, 1]])
PREDICTED = np.array([[0, 0, 0, 1], [0, 2, 1, 0], [2, 3, 1, 1]])


def _random(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(-1, classes, (13, 17))
    return np.where(rng.random(true.shape) < 0.6, true.clip(0), rng.integers(0, classes, true.shape)), true


def _scores(predicted: np.ndarray, true: np.ndarray, classes: int, unseen: tuple[int, ...] = ()) -> dict[str, float]:
    counts = class_counts(confusion_matrix(predicted, true, classes))
    held_out = np.isin(np.arange(classes), unseen)
    return {name: float(value) for name, value in label_map_scores(counts, held_out).items()}


def test_scores_by_hand() -> None:
    """Class 0: 4 of 5, one false; 1: 4 of 5, none false; 2: one false; 3: nowhere but in ignored pixels."""
    matrix = confusion_matrix(PREDICTED, TRUE, 4)
    assert matrix.tolist() == [[4, 0, 1, 0, 0], [1, 4, 0, 0, 0], [0] * 5, [0] * 5]
    ious = class_ious(class_counts(matrix))
    assert ious[:3].tolist() == [4 / 6, 4 / 5, 0.0]
    assert math.isnan(ious[3])
    expected = {
        "miou": (4 / 6 + 4 / 5) / 3,
        "miou_gt": (4 / 6 + 4 / 5) / 2,
        "miou_zero": (4 / 6 + 4 / 5) / 4,
        "fwiou": (5 * 4 / 6 + 5 * 4 / 5) / 10,
        "pixel_accuracy": 8 / 10,
        "mean_accuracy": 4 / 5,
    }
    assert _scores(PREDICTED, TRUE, 4) == pytest.approx(expected, rel=1e-15)


def test_seen_and_unseen_classes() -> None:
    scores = _scores(PREDICTED, TRUE, 4, unseen=(1, 3))
    seen, unseen = (4 / 6 + 0) / 2, (4 / 5 + 0) / 2
    assert (scores["miou_seen"], scores["miou_unseen"]) == pytest.approx((seen, unseen))
    assert scores["harmonic"] == pytest.approx(2 / (1 / seen + 1 / unseen))
    zero, nan, half = np.array([0.0]), np.array([math.nan]), np.array([0.5])
    assert harmonic_mean(zero, zero).tolist() == [0.0]
    assert math.isnan(harmonic_mean(nan, half)[0])


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning:sklearn")
@pytest.mark.parametrize("classes", [1, 2, 5, 21])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_sklearns(seed: int, classes: int) -> None:
    predicted, true = _random(seed, classes)
    known, given = true[true >= 0], predicted[true >= 0]
    labels = list(range(classes))
    matrix = confusion_matrix(predicted, true, classes)
    np.testing.assert_array_equal(matrix[:, :-1], sk.confusion_matrix(known, given, labels=labels))
    ious = sk.jaccard_score(known, given, labels=labels, average=None)
    np.testing.assert_allclose(class_ious(class_counts(matrix)), ious, rtol=1e-13)
    scores = _scores(predicted, true, classes)
    assert scores["miou"] == pytest.approx(float(ious.mean()), rel=1e-13)
    assert scores["fwiou"] == pytest.approx(sk.jaccard_score(known, given, labels=labels, average="weighted"))
    assert scores["pixel_accuracy"] == pytest.approx(sk.accuracy_score(known, given))
    assert scores["mean_accuracy"] == pytest.approx(sk.recall_score(known, given, labels=labels, average="macro"))


def test_pixels_without_a_class_are_misses() -> None:
    matrix = confusion_matrix(np.array([[0, -1, 1, -1]]), np.array([[0, 0, 1, -1]]), 2)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert class_counts(matrix).tolist() == [[1, 0, 1], [1, 0, 0]]
    assert class_ious(class_counts(matrix)).tolist() == [0.5, 1.0]


def test_all_ignored_is_undefined() -> None:
    scores = _scores(PREDICTED, np.full_like(TRUE, -1), 4, unseen=(1,))
    assert len(scores) == 9
    assert all(math.isnan(value) for value in scores.values())


def test_scores_of_many_draws_at_once_are_those_of_each() -> None:
    counts = np.random.default_rng(4).integers(0, 50, (7, 5, 3))
    counts[2, 3] = 0
    unseen = np.array([True, False, False, True, False])
    together = label_map_scores(counts, unseen)
    for name, values in together.items():
        assert values.tolist() == [float(label_map_scores(one, unseen)[name]) for one in counts]


def test_counts_of_images_sum_to_the_whole() -> None:
    images = [_random(seed, 6) for seed in range(5)]
    matrices = [confusion_matrix(*image, 6) for image in images]
    np.testing.assert_array_equal(sum(map(class_counts, matrices)), class_counts(sum(matrices)))


@pytest.mark.parametrize(
    ("predicted", "true", "named"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "one shape"),
        (np.full((2, 2), 4), np.zeros((2, 2), int), "the prediction with labels from 4 to 4"),
        (np.zeros((2, 2), int), np.full((2, 2), 255), "the ground truth with labels from 255 to 255"),
        (np.full((2, 2), -2), np.zeros((2, 2), int), "the prediction with labels from -2"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "the prediction as float64"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(predicted: np.ndarray, true: np.ndarray, named: str) -> None:
    with pytest.raises(DataError, match=named):
        confusion_matrix(predicted, true, 4)
