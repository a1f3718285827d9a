"""Intervals against literal resampling, SciPy's bootstrap and the normal distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from wordmask.errors import DataError
from wordmask.metrics import bootstrap
from wordmask.metrics.bootstrap import interval, mean_interval, mean_over_groups, pool, ratio_of_sums

OIOU = ratio_of_sums((0,), (1,))


def _rows(number: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    union = rng.integers(1, 500, number)
    return np.stack([rng.binomial(union, 0.6), union], axis=1)


def _draws(number: int, draws: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, number, number) for _ in range(draws)]


def test_ratio_of_sums_is_literal_resampling() -> None:
    rows = _rows(30)
    found = interval(rows, OIOU, draws=200, seed=7)
    values = [rows[draw, 0].sum() / rows[draw, 1].sum() for draw in _draws(30, 200, 7)]
    assert found.value == rows[:, 0].sum() / rows[:, 1].sum()
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), rel=1e-14)
    assert (found.level, found.draws, found.undefined) == (0.95, 200, 0)


def test_class_means_are_literal_resampling() -> None:
    """Few samples of one class: it is missing from some draws, and then the mean is over the others."""
    rng = np.random.default_rng(3)
    rows, labels = rng.integers(0, 90, (25, 3)), ["b", "a", "c"] * 8 + ["d"]
    statistic = mean_over_groups(ratio_of_sums((0,), (0, 1, 2), add=1))
    found = interval(rows, statistic, groups=labels, draws=150, seed=1, level=0.9)
    names = np.array(labels)

    def literal(chosen: np.ndarray) -> float:
        sums = [rows[chosen][names[chosen] == name].sum(axis=0) for name in set(names[chosen])]
        return float(np.mean([tp / (1 + tp + fp + fn) for tp, fp, fn in sums]))

    values = [literal(draw) for draw in _draws(25, 150, 1)]
    assert any("d" not in names[draw] for draw in _draws(25, 150, 1))
    assert found.value == pytest.approx(literal(np.arange(25)), rel=1e-14)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [5, 95])), rel=1e-13)


def test_intervals_agree_with_scipy_and_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.2, 400)
    found = mean_interval(values, draws=2000)
    scipys = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(1))
    error = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean(), rel=1e-14)
    assert (found.low, found.high) == pytest.approx(tuple(scipys.confidence_interval), abs=0.1 * error)
    assert (found.low, found.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.1 * error)


def test_the_seed_decides_and_chunks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(40)
    once = interval(rows, OIOU, draws=100, seed=5)
    assert interval(rows, OIOU, draws=100, seed=5) == once
    assert interval(rows, OIOU, draws=100, seed=6) != once
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 120)
    assert interval(rows, OIOU, draws=100, seed=5) == once
    monkeypatch.setattr(bootstrap, "_MOST_SHARED", 0)  # weights drawn anew instead of kept
    assert interval(rows, OIOU, draws=100, seed=5) == once


def test_prompts_of_one_image_are_drawn_together() -> None:
    rows, keys = _rows(60), [f"image {index // 6}" for index in range(60)]
    pooled = pool(rows, keys)
    np.testing.assert_array_equal(pooled, rows.reshape(10, 6, 2).sum(axis=1))
    assert pooled.dtype == np.int64
    copies = np.repeat(_rows(10), 6, axis=0)
    alone, together = interval(copies, OIOU), interval(pool(copies, keys), OIOU)
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_undefined_values_are_counted_and_left_out() -> None:
    rows = np.array([[1, 2], [0, 0]])
    found = interval(rows, OIOU, draws=400)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert 60 < found.undefined < 140  # both draws hit the empty row once in four
    nowhere = interval(np.zeros((3, 2)), OIOU, draws=10)
    assert math.isnan(nowhere.value)
    assert math.isnan(nowhere.low)
    assert nowhere.undefined == 10


def test_a_single_sample_has_no_width() -> None:
    assert mean_interval([0.25]).__dict__ | {"draws": 0} == {
        "value": 0.25, "low": 0.25, "high": 0.25, "level": 0.95, "draws": 0, "undefined": 0
    }  # fmt: skip


@pytest.mark.parametrize(("rows", "groups"), [(np.zeros((0, 2)), None), (np.zeros(3), None), (np.zeros((3, 2)), ["a"])])
def test_rows_that_do_not_fit_are_one_sentence(rows: np.ndarray, groups: list[str] | None) -> None:
    with pytest.raises(DataError, match="rows of at least one sample"):
        interval(rows, OIOU, groups=groups)
