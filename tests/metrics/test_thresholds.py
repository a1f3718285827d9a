"""The sweep against golden values, a slow literal sweep, SciPy and scikit-learn."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from scipy import integrate
from sklearn.metrics import average_precision_score

from tests.metrics.judgements import DEGENERATE, EVERY, IGNORED, RANDOM, flat, kept, literal_counts
from wordmask.errors import DataError
from wordmask.metrics import thresholds
from wordmask.metrics.judged import Judged
from wordmask.metrics.simpson import simpson, simpson_average
from wordmask.metrics.thresholds import THRESHOLDS, Sweep


def _swept(judgements: list[Judged], **config: object) -> Sweep:
    sweep = Sweep(**config)  # type: ignore[arg-type]
    for judged in judgements:
        sweep.update(judged)
    return sweep


def _golden(index: int) -> Judged:
    """Return one of the four made-up samples whose scores by the reference scorer are known."""
    y, x = np.mgrid[:32, :32].astype(np.float64)
    truth = (y - 8 - 3 * index) ** 2 + (x - 16) ** 2 < (6 + index) ** 2
    logit = 3 - 0.5 * np.hypot(y - (10 + 3 * index), x - 15) + 0.6 * np.sin(0.9 * x + index) * np.cos(0.7 * y)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return Judged(probability > 0.5, truth, label=str(index % 3), key=str(index), probability=probability)


def test_golden_values_of_the_reference_scorer() -> None:
    scores = _swept([_golden(index) for index in range(4)]).compute()
    golden = {
        "ap": 0.863217,
        "iou_fg@0.3": 0.649886,
        "iou_fg@0.5": 0.53557,
        "iou_fg_best": 0.649886,
        "iou_fg_best_t": 0.3,
        "iou_bin@0.3": 0.781588,
        "iou_bin@0.5": 0.721003,
        "iou_bin_best": 0.781588,
        "miou@0.3": 0.656884,
        "miou@0.5": 0.554039,
        "miou_best": 0.656884,
        "miou_best_t": 0.3,
    }
    assert {name: scores[name] for name in golden} == pytest.approx(golden, abs=6e-7)


def test_the_golden_set_has_the_even_number_of_points_on_which_the_rules_differ() -> None:
    sweep = _swept([_golden(index) for index in range(4)])
    recall, _ = thresholds.curve(sweep.counts().sum(axis=0))
    assert len(recall) == 48
    assert sweep.compute()["ap_2021"] != pytest.approx(sweep.compute()["ap"], abs=1e-4)


def test_named_thresholds_are_exact_members() -> None:
    assert len(THRESHOLDS) == 49
    assert {0.02, 0.1, 0.2, 0.24, 0.28, 0.3, 0.5, 0.98} <= set(THRESHOLDS.tolist())
    assert [thresholds.position(threshold) for threshold in (0.02, 0.3, 0.1 + 0.2, 0.98)] == [0, 14, 14, 48]
    with pytest.raises(DataError, match=r"threshold 0\.25"):
        thresholds.position(0.25)
    with pytest.raises(DataError, match=r"threshold 1\.0"):
        Sweep(at=(1.0,))


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
    np.testing.assert_array_equal(thresholds.levels(values), literal)
    np.testing.assert_array_equal(thresholds.levels(THRESHOLDS.astype(np.float32)), np.arange(49))


def _literal(judgements: list[Judged], by_key: bool) -> dict[str, list[float]]:
    """Return IoU_FG, IoU_BIN and mIoU at every threshold, pixel by pixel."""
    curves: dict[str, list[float]] = {"iou_fg": [], "iou_bin": [], "miou": []}
    for threshold in THRESHOLDS.tolist():
        classes: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for judged in judgements:
            above = (torch.from_numpy(judged.probability) > threshold).numpy()
            sums = classes[judged.key if by_key else judged.label]
            for place, number in enumerate(literal_counts(judged, above)):
                sums[place] += number
        tp, fp, fn, tn = (sum(sums[place] for sums in classes.values()) for place in range(4))
        curves["iou_fg"].append(tp / (1 + tp + fp + fn))
        curves["iou_bin"].append((tp / (1 + tp + fp + fn) + tn / (1 + tn + fp + fn)) / 2)
        curves["miou"].append(sum(c[0] / (1 + c[0] + c[1] + c[2]) for c in classes.values()) / len(classes))
    return curves


@pytest.mark.parametrize("group_by", ["label", "key"])
@pytest.mark.parametrize("judgements", [RANDOM[:8], RANDOM[:1], DEGENERATE, [flat(True, True)], [flat(False, False)]])
def test_every_iou_equals_the_literal_sweep(judgements: list[Judged], group_by: str) -> None:
    sweep = _swept(judgements, group_by=group_by, at=tuple(THRESHOLDS.tolist()))
    scores = sweep.compute()
    for name, values in _literal(judgements, group_by == "key").items():
        assert [scores[f"{name}@{threshold:g}"] for threshold in THRESHOLDS] == pytest.approx(values, abs=1e-12)
        assert scores[f"{name}_best"] == pytest.approx(max(values), abs=1e-12)
        best = THRESHOLDS.tolist().index(scores[f"{name}_best_t"])
        assert values[best] == pytest.approx(max(values), abs=1e-12)


def test_values_on_thresholds_equal_the_literal_sweep() -> None:
    values = _neighbours()[:152].reshape(8, 19)
    truth = np.random.default_rng(1).random(values.shape) < 0.4
    judged = Judged(values > 0.5, truth, "a", "k", probability=values)
    counted = thresholds.counts(thresholds.histogram(values, truth))
    literal = [literal_counts(judged, (torch.from_numpy(values) > t).numpy()) for t in THRESHOLDS.tolist()]
    np.testing.assert_array_equal(counted.T, literal)


def test_hand_made_cases() -> None:
    truth = np.zeros((8, 8), bool)
    truth[:4] = True
    hard = Judged(truth, truth, "a", "hard", probability=truth.astype(np.float32))
    scores = _swept([hard]).compute()
    assert (scores["ap"], scores["ap_2021"], scores["iou_fg@0.5"]) == (0.0, 0.0, 32 / 33)
    half = Judged(truth, truth, "a", "half", probability=np.full((8, 8), 0.5, np.float32))
    assert _swept([half]).compute()["iou_fg@0.5"] == 0.0
    both = _swept([hard, flat(False, False)], group_by="key").compute()
    assert both["miou@0.5"] == 32 / 33 / 2


def _reference_ap(counted: np.ndarray) -> float:
    points = set()
    for tp, fp, fn, _ in counted.T.tolist():
        if tp + fp:
            points.add((tp / (1 + tp + fn), tp / (1 + tp + fp)))
    recall, precision = zip(*sorted(points), strict=True)
    return float(integrate.simpson(precision, x=recall))


@pytest.mark.parametrize("seed", range(12))
def test_ap_is_scipys_simpson_over_the_distinct_points(seed: int) -> None:
    sweep = _swept(RANDOM[seed : seed + 6])
    counted = sweep.counts().sum(axis=0)
    assert thresholds.ap(counted) == pytest.approx(_reference_ap(counted), abs=1e-12)


@pytest.mark.parametrize("judged", DEGENERATE)
def test_degenerate_ap_is_zero(judged: Judged) -> None:
    scores = _swept([judged]).compute()
    assert scores["ap"] == scores["ap_2021"] == 0.0


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


@pytest.mark.parametrize("judged", [*RANDOM[:10], flat(True, True), flat(True, False)])
def test_step_ap_is_sklearns(judged: Judged) -> None:
    histogram = thresholds.histogram(judged.probability, judged.truth, judged.ignored)
    levels = kept(judged, thresholds.levels(judged.probability))
    assert thresholds.step_ap(histogram) == pytest.approx(
        average_precision_score(kept(judged, judged.truth), levels), abs=1e-12
    )


def test_undefined_scores() -> None:
    assert math.isnan(_swept([flat(False, True)]).compute()["step_ap"])
    nothing, ignored = Sweep().compute(), _swept([IGNORED]).compute()
    assert nothing.keys() == ignored.keys() == _swept(RANDOM).compute().keys()
    assert all(math.isnan(value) for value in [*nothing.values(), *ignored.values()])


def test_rows_at_a_threshold_are_the_counts() -> None:
    judged = RANDOM[3]
    histogram = thresholds.histogram(judged.probability, judged.truth, judged.ignored)
    assert tuple(thresholds.at_threshold(histogram, 0.3)) == literal_counts(
        judged, judged.probability > np.float32(0.3)
    )


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.5, 14.0])
def test_what_is_no_probability_is_refused(value: float) -> None:
    probability = np.full((3, 3), 0.5, np.float32)
    probability[1, 1] = value
    with pytest.raises(DataError, match=r"probabilities in \[0, 1\]"):
        thresholds.histogram(probability, np.ones((3, 3), bool))


def test_a_method_without_probabilities_is_one_sentence() -> None:
    judged = Judged(np.ones((2, 2), bool), np.ones((2, 2), bool), "a", "k")
    with pytest.raises(DataError, match="no probability map"):
        Sweep().update(judged)
    with pytest.raises(DataError, match="group_by"):
        Sweep(group_by="picture")  # type: ignore[arg-type]


def test_every_judgement_is_counted() -> None:
    assert int(_swept(EVERY).counts()[:, :, 0].sum()) == sum(judged.pixels for judged in EVERY)
