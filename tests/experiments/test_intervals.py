"""Differences, their intervals and verdicts, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.experiments.clipseg.intervals import Difference, best_miou, compare, drawn_weights, miou_at, step_ap
from scripts.experiments.clipseg.results import Scored
from scripts.experiments.clipseg.tables import whole_picture
from wordmask.errors import DataError
from wordmask.metrics.thresholds import counts, histogram
from wordmask.metrics.thresholds import step_ap as reference


def answer(probabilities: list[float], truth: list[bool]) -> np.ndarray:
    return histogram(np.array([probabilities], np.float32), np.array([truth]))


GOOD = answer([0.9, 0.9, 0.1, 0.1], [True, True, False, False])
HALF = answer([0.9, 0.1, 0.1, 0.1], [True, True, False, False])
POOR = answer([0.1, 0.1, 0.9, 0.1], [True, True, False, False])


def test_scores_of_known_answers() -> None:
    counted = counts(np.stack([GOOD, HALF])).astype(np.float64)
    both, first = np.ones(2), np.array([1.0, 0.0])
    assert miou_at(0.3)(counted)(both) == pytest.approx((2 / 3 + 1 / 3) / 2)  # the reference adds 1 to the divisor
    assert best_miou(counted)(first) == pytest.approx(2 / 3)
    # at 0.1 and lower all pixels are answered: 2 of 4 are true; the best for both is at least that of 0.3
    assert best_miou(counted)(both) == pytest.approx(0.5)
    weighted = np.array([3.0, 1.0])
    assert miou_at(0.3)(counted)(weighted) == pytest.approx((3 * 2 / 3 + 1 / 3) / 4)


def test_the_whole_picture_as_an_answer() -> None:
    run = Scored(
        "pc", 0, ("a", "b"), {}, {"text": np.stack([GOOD, answer([0.2] * 4, [True, False, False, False])])}, {}
    )
    assert whole_picture(run) == pytest.approx((2 / 5 + 1 / 5) / 2)  # the reference adds 1 to the divisor


def test_average_precision_is_the_conventional_one() -> None:
    random = np.random.default_rng(0)
    rows = np.stack([histogram(random.random((4, 5), np.float32), random.random((4, 5)) > 0.6) for _ in range(3)])
    counted = counts(rows).astype(np.float64)
    # `reference` also ranks the pixels below the lowest threshold; put none there
    rows[:, :, 1] += rows[:, :, 0]
    rows[:, :, 0] = 0
    counted = counts(rows).astype(np.float64)
    assert step_ap(counted)(np.ones(3)) == pytest.approx(reference(rows.sum(axis=0)))
    assert step_ap(counted)(np.array([2.0, 0.0, 1.0])) == pytest.approx(reference(2 * rows[0] + rows[2]))


def test_pictures_are_drawn_whole() -> None:
    drawn = drawn_weights(["a", "b", "a", "c"], 50, np.random.default_rng(0))
    assert all(weights[0] == weights[2] for weights in drawn)
    assert all(weights[[0, 1, 3]].sum() == 3 for weights in drawn)
    assert {float(weights[1]) for weights in drawn} >= {0.0, 1.0, 2.0}


def test_the_same_answers_do_not_differ_and_a_clear_difference_holds() -> None:
    pictures = [f"p{number}" for number in range(12)]
    good, half = np.stack([GOOD] * 12), np.stack([HALF] * 12)
    same = compare([good, good], [good, good], pictures, miou_at(0.3), draws=50)
    assert (same.value, same.low, same.high, same.verdict) == (0, 0, 0, "not decided")
    clear = compare([good, good], [half, half], pictures, miou_at(0.3), draws=50)
    assert clear.value == pytest.approx(1 / 3)
    assert (clear.low, clear.high) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert clear.verdict == "holds"
    assert compare([half, half], [good, good], pictures, miou_at(0.3), draws=50).verdict == "does not hold"
    with pytest.raises(DataError, match="same seeds"):
        compare([good], [half, half], pictures, best_miou)


def test_seeds_that_disagree_decide_nothing() -> None:
    pictures = [f"p{number}" for number in range(12)]
    good, poor = np.stack([GOOD] * 12), np.stack([POOR] * 12)
    found = compare([good, poor, good], [poor, good, good], pictures, miou_at(0.3), draws=400)
    assert found.by_seed == (pytest.approx(2 / 3), pytest.approx(-2 / 3), pytest.approx(0))
    assert found.value == pytest.approx(0)
    assert found.verdict == "not decided"
    # the extreme draw is one seed three times, widened by sqrt(3 / 2)
    assert found.high <= 2 / 3 * 1.5**0.5 + 1e-9
    assert found.high > 0.5


def test_one_seed_decides_nothing() -> None:
    pictures = ["a", "b"]
    found = compare([np.stack([GOOD] * 2)], [np.stack([POOR] * 2)], pictures, miou_at(0.3), draws=20)
    assert found.low > 0
    assert found.verdict == "not decided"
    assert Difference(value=1, low=0.5, high=2, by_seed=(1.0, 1.0)).verdict == "holds"
    assert Difference(value=1, low=0.0, high=2, by_seed=(1.0, 1.0)).verdict == "not decided"
