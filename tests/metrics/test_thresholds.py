"""The sweep over thresholds against golden values, a slow literal sweep, SciPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate
from sklearn.metrics import average_precision_score

from tests.metrics.examples import DEGENERATE, EVERY, RANDOM, Example, flat, kept, literal_counts, literal_sweep
from wordmask.errors import DataError
from wordmask.metrics import thresholds
from wordmask.metrics.simpson import simpson, simpson_average
from wordmask.metrics.thresholds import THRESHOLDS


def _histogram(example: Example) -> np.ndarray:
    return thresholds.histogram(example.probability, example.ground_truth, example.ignored)


def _counts(examples: list[Example]) -> np.ndarray:
    """Return TP, FP, FN, TN `(4, 49)` over all examples."""
    return thresholds.counts(sum(map(_histogram, examples)))


def _by_class(examples: list[Example], *, by_key: bool) -> np.ndarray:
    """Return `(C, 4, 49)` of every label, or of every example."""
    names = sorted({example.key if by_key else example.label for example in examples})
    parts = [[e for e in examples if (e.key if by_key else e.label) == name] for name in names]
    return np.stack([_counts(part) for part in parts])


def _golden(index: int) -> Example:
    """Return one of four made-up samples whose scores by the reference scorer are known."""
    y, x = np.mgrid[:32, :32].astype(np.float64)
    true = (y - 8 - 3 * index) ** 2 + (x - 16) ** 2 < (6 + index) ** 2
    logit = 3 - 0.5 * np.hypot(y - (10 + 3 * index), x - 15) + 0.6 * np.sin(0.9 * x + index) * np.cos(0.7 * y)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return Example(probability > 0.5, true, str(index % 3), str(index), probability)


GOLDEN = [_golden(index) for index in range(4)]


def test_golden_values_of_the_reference_scorer() -> None:
    counted = _counts(GOLDEN)
    curves = {
        "iou_fg": thresholds.iou_fg(counted),
        "iou_bin": thresholds.iou_bin(counted),
        "miou": thresholds.iou_fg(_by_class(GOLDEN, by_key=False)).mean(axis=0),
    }
    golden = {
        "iou_fg": (0.649886, 0.53557),
        "iou_bin": (0.781588, 0.721003),
        "miou": (0.656884, 0.554039),
    }
    for name, (at_30, at_50) in golden.items():
        assert curves[name][[14, 24]] == pytest.approx([at_30, at_50], abs=6e-7)
        assert (curves[name].max(), THRESHOLDS[curves[name].argmax()]) == pytest.approx((at_30, 0.3), abs=6e-7)
    assert thresholds.ap(counted) == pytest.approx(0.863217, abs=6e-7)


def test_the_golden_set_has_the_even_number_of_points_on_which_the_rules_differ() -> None:
    counted = _counts(GOLDEN)
    recall, _ = thresholds.curve(counted)
    assert len(recall) == 48
    assert thresholds.ap(counted, rule="2021") != pytest.approx(thresholds.ap(counted), abs=1e-4)


def test_named_thresholds_are_exact_members() -> None:
    assert len(THRESHOLDS) == 49
    assert {0.02, 0.1, 0.2, 0.24, 0.28, 0.3, 0.5, 0.98} <= set(THRESHOLDS.tolist())
    assert [thresholds.position(threshold) for threshold in (0.02, 0.3, 0.1 + 0.2, 0.98)] == [0, 14, 14, 48]
    for wrong in (0.25, 1.0):
        with pytest.raises(DataError, match=f"threshold {wrong}"):
            thresholds.position(wrong)


def _neighbours() -> np.ndarray:
    """Return every threshold, its float32 neighbours on both sides, both ends and some random values."""
    exact = THRESHOLDS.astype(np.float32)
    sides = [np.nextafter(exact, np.float32(end)) for end in (0, 1)]
    ends = np.array([0, 1, np.finfo(np.float32).tiny, np.nextafter(np.float32(1), np.float32(0))], np.float32)
    return np.concatenate([exact, *sides, ends, np.random.default_rng(0).random(5000, dtype=np.float32)])


def test_values_on_a_threshold_are_not_above_it() -> None:
    values = _neighbours()
    tensor = torch.from_numpy(values)
    literal = sum((tensor > threshold).numpy().astype(int) for threshold in THRESHOLDS.tolist())
    np.testing.assert_array_equal(thresholds.threshold_bins(values), literal)
    np.testing.assert_array_equal(thresholds.threshold_bins(THRESHOLDS.astype(np.float32)), np.arange(49))


@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize("examples", [RANDOM[:8], RANDOM[:1], DEGENERATE, [flat(True, True)], [flat(False, False)]])
def test_every_iou_equals_the_literal_sweep(examples: list[Example], by_key: bool) -> None:
    by_class, literal = _by_class(examples, by_key=by_key), literal_sweep(examples, by_key=by_key)
    counted = by_class.sum(axis=0)
    assert thresholds.iou_fg(counted) == pytest.approx(literal["iou_fg"], abs=1e-12)
    assert thresholds.iou_bin(counted) == pytest.approx(literal["iou_bin"], abs=1e-12)
    assert thresholds.iou_fg(by_class).mean(axis=0) == pytest.approx(literal["miou"], abs=1e-12)


def test_values_on_thresholds_equal_the_literal_sweep() -> None:
    values = _neighbours()[:152].reshape(8, 19)
    true = np.random.default_rng(1).random(values.shape) < 0.4
    example = Example(values > 0.5, true, "a", "k", values)
    literal = [literal_counts(example, (torch.from_numpy(values) > t).numpy()) for t in THRESHOLDS.tolist()]
    np.testing.assert_array_equal(_counts([example]).T, literal)


def test_hand_made_cases() -> None:
    true = np.zeros((8, 8), bool)
    true[:4] = True
    hard = _counts([Example(true, true, "a", "hard", true.astype(np.float32))])
    assert (thresholds.ap(hard), thresholds.ap(hard, rule="2021")) == (0.0, 0.0)
    assert thresholds.iou_fg(hard)[24] == 32 / 33
    half = _counts([Example(true, true, "a", "half", np.full((8, 8), 0.5, np.float32))])
    assert thresholds.iou_fg(half)[24] == 0.0


def _reference_ap(counted: np.ndarray) -> float:
    points = set()
    for tp, fp, fn, _ in counted.T.tolist():
        if tp + fp:
            points.add((tp / (1 + tp + fn), tp / (1 + tp + fp)))
    recall, precision = zip(*sorted(points), strict=True)
    return float(integrate.simpson(precision, x=recall))


@pytest.mark.parametrize("seed", range(12))
def test_ap_is_scipys_simpson_over_the_distinct_points(seed: int) -> None:
    counted = _counts(RANDOM[seed : seed + 6])
    assert thresholds.ap(counted) == pytest.approx(_reference_ap(counted), abs=1e-12)


@pytest.mark.parametrize("example", DEGENERATE)
def test_degenerate_ap_is_zero(example: Example) -> None:
    counted = _counts([example])
    assert thresholds.ap(counted) == thresholds.ap(counted, rule="2021") == 0.0


@pytest.mark.parametrize("points", range(2, 60))
def test_simpson_equals_scipy_on_irregular_grids(points: int) -> None:
    rng = np.random.default_rng(points)
    x, y = np.sort(rng.random(points)), rng.random(points)
    if points % 3 == 0:
        x[points // 3] = x[points // 3 + 1]  # an interval of no width
    assert simpson(y, x) == pytest.approx(float(integrate.simpson(y, x=x)), rel=1e-12, abs=1e-12)


def _trapezium(y: np.ndarray, x: np.ndarray) -> float:
    return float((x[1] - x[0]) * (y[0] + y[1]) / 2)


@pytest.mark.parametrize("points", range(1, 40))
def test_the_older_rule_averages_both_ways_of_leaving_an_interval_over(points: int) -> None:
    rng = np.random.default_rng(points)
    x, y = np.sort(rng.random(points)), rng.random(points)
    if points % 2:
        expected = simpson(y, x)
    else:
        scipys = [float(integrate.simpson(y[part], x=x[part])) for part in (slice(None, -1), slice(1, None))]
        expected = (scipys[0] + _trapezium(y[-2:], x[-2:]) + scipys[1] + _trapezium(y[:2], x[:2])) / 2
    assert simpson_average(y, x) == pytest.approx(expected, rel=1e-12)


def test_simpson_is_exact_for_parabolas_and_nothing_has_no_area() -> None:
    x = np.array([0.0, 0.1, 0.4, 0.5, 0.9, 1.0])
    assert simpson(3 * x**2, x) == pytest.approx(1.0, rel=1e-14)
    assert [rule(x[:n], x[:n]) for rule in (simpson, simpson_average) for n in (0, 1)] == [0.0] * 4


@pytest.mark.parametrize("example", [*RANDOM[:10], flat(True, True), flat(True, False)])
def test_step_ap_is_sklearns(example: Example) -> None:
    bins = kept(example, thresholds.threshold_bins(example.probability))
    expected = average_precision_score(kept(example, example.ground_truth), bins)
    assert thresholds.step_ap(_histogram(example)) == pytest.approx(expected, abs=1e-12)


def test_without_a_true_pixel_step_ap_is_undefined() -> None:
    assert math.isnan(thresholds.step_ap(_histogram(flat(False, True))))


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.5, 14.0])
def test_what_is_no_probability_is_refused(value: float) -> None:
    probability = np.full((3, 3), 0.5, np.float32)
    probability[1, 1] = value
    with pytest.raises(DataError, match=r"probabilities in \[0, 1\]"):
        thresholds.histogram(probability, np.ones((3, 3), bool))


def test_every_pixel_that_is_not_ignored_is_counted() -> None:
    assert [int(_counts([e])[:, 0].sum()) for e in EVERY] == [sum(literal_counts(e)) for e in EVERY]
