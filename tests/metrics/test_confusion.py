"""Confusion matrices against scikit-learn and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from wordmask.errors import DataError
from wordmask.metrics.confusion import (
    Confusion,
    class_counts,
    class_ious,
    confusion,
    harmonic_mean,
    mean_iou,
)

TRUTH = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [-1, -1, 1, 1]])
ANSWER = np.array([[0, 0, 0, 1], [0, 2, 1, 0], [2, 3, 1, 1]])
NAMES = ("ground", "cat", "dog", "cow")


def _random(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, classes, (13, 17))
    return np.where(rng.random(truth.shape) < 0.6, truth.clip(0), rng.integers(0, classes, truth.shape)), truth


def test_scores_by_hand() -> None:
    """Ground: 4 of 5, one false; cat: 4 of 5, none false; dog: one false; cow: nowhere but in ignored pixels."""
    scored = Confusion(NAMES)
    scored.update(ANSWER, TRUTH)
    assert scored.matrix.tolist() == [[4, 0, 1, 0, 0], [1, 4, 0, 0, 0], [0] * 5, [0] * 5]
    ious = scored.ious()
    assert (ious["ground"], ious["cat"], ious["dog"]) == (4 / 6, 4 / 5, 0.0)
    assert math.isnan(ious["cow"])
    expected = {
        "miou": (4 / 6 + 4 / 5) / 3,
        "miou_truth": (4 / 6 + 4 / 5) / 2,
        "miou_zero": (4 / 6 + 4 / 5) / 4,
        "fwiou": (5 * 4 / 6 + 5 * 4 / 5) / 10,
        "pixel_accuracy": 8 / 10,
        "mean_accuracy": 4 / 5,
    }
    assert scored.compute() == pytest.approx(expected, rel=1e-15)


def test_seen_and_unseen_classes() -> None:
    scored = Confusion(NAMES, unseen=("cat", "cow"))
    scored.update(ANSWER, TRUTH)
    scores = scored.compute()
    seen, unseen = (4 / 6 + 0) / 2, (4 / 5 + 0) / 2
    assert (scores["miou_seen"], scores["miou_unseen"]) == pytest.approx((seen, unseen))
    assert scores["harmonic"] == pytest.approx(2 / (1 / seen + 1 / unseen))
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert math.isnan(harmonic_mean(math.nan, 0.5))


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning:sklearn")
@pytest.mark.parametrize("classes", [1, 2, 5, 21])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_sklearns(seed: int, classes: int) -> None:
    answer, truth = _random(seed, classes)
    scored = Confusion(tuple(str(index) for index in range(classes)))
    scored.update(answer, truth)
    known, given = truth[truth >= 0], answer[truth >= 0]
    labels = list(range(classes))
    np.testing.assert_array_equal(scored.matrix[:, :-1], sk.confusion_matrix(known, given, labels=labels))
    ious = sk.jaccard_score(known, given, labels=labels, average=None)
    np.testing.assert_allclose(class_ious(scored.matrix), ious, rtol=1e-13)
    scores = scored.compute()
    assert scores["miou"] == pytest.approx(float(ious.mean()), rel=1e-13)
    assert scores["fwiou"] == pytest.approx(sk.jaccard_score(known, given, labels=labels, average="weighted"))
    assert scores["pixel_accuracy"] == pytest.approx(sk.accuracy_score(known, given))
    assert scores["mean_accuracy"] == pytest.approx(sk.recall_score(known, given, labels=labels, average="macro"))


def test_pixels_without_a_class_are_misses() -> None:
    matrix = confusion(np.array([[0, -1, 1, -1]]), np.array([[0, 0, 1, -1]]), 2)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert class_counts(matrix).tolist() == [[1, 0, 1], [1, 0, 0]]
    assert class_ious(matrix).tolist() == [0.5, 1.0]


def test_all_ignored_is_undefined() -> None:
    scored = Confusion(NAMES, unseen=("cat",))
    scored.update(ANSWER, np.full_like(TRUTH, -1))
    assert all(math.isnan(value) for value in scored.compute().values())


def test_a_class_that_is_nowhere() -> None:
    values = np.array([0.5, math.nan, 1.0])
    assert (mean_iou(values), mean_iou(values, absent=0.0)) == (0.75, 0.5)
    assert math.isnan(mean_iou(np.array([math.nan])))


def test_rows_of_pictures_sum_to_the_whole() -> None:
    pictures = [_random(seed, 6) for seed in range(5)]
    whole = Confusion(tuple("abcdef"))
    for picture in pictures:
        whole.update(*picture)
    rows = sum(class_counts(confusion(*picture, 6)) for picture in pictures)
    np.testing.assert_array_equal(rows, class_counts(whole.matrix))


@pytest.mark.parametrize(
    ("answer", "truth", "named"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "one shape"),
        (np.full((2, 2), 4), np.zeros((2, 2), int), "the answer with labels from 4 to 4"),
        (np.zeros((2, 2), int), np.full((2, 2), 255), "the truth with labels from 255 to 255"),
        (np.full((2, 2), -2), np.zeros((2, 2), int), "the answer with labels from -2"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "the answer as float64"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(answer: np.ndarray, truth: np.ndarray, named: str) -> None:
    with pytest.raises(DataError, match=named):
        Confusion(NAMES).update(answer, truth)


def test_unknown_unseen_classes_are_one_sentence() -> None:
    with pytest.raises(DataError, match="the unseen class 'car'"):
        Confusion(NAMES, unseen=("car",))
    with pytest.raises(DataError, match="no class"):
        Confusion(())
