"""Logits and probabilities, and the level of highest expected IoU against all masks there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from wordmask.ops.probability import LOWEST_THRESHOLD, best_threshold, logit, sigmoid


def expected_iou(sure: np.ndarray, chosen: np.ndarray) -> float:
    """Expected intersection over expected union, as defined: a sum over cells."""
    inside = sum(p for p, taken in zip(sure, chosen, strict=True) if taken)
    union = sum(1.0 if taken else p for p, taken in zip(sure, chosen, strict=True))
    return float(inside / union)


def logits_of(sure: np.ndarray) -> np.ndarray:
    return np.array([logit(p) for p in sure], np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_no_mask_promises_more_than_the_one_at_the_best_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sure = rng.beta(rng.uniform(0.3, 2), rng.uniform(0.3, 4), 9).clip(1e-4, 1 - 1e-4)
    level = best_threshold(logits_of(sure).reshape(3, 3))
    masks = [np.array(taken) for taken in itertools.product([False, True], repeat=9) if any(taken)]
    highest = max(expected_iou(sure, mask) for mask in masks)
    assert expected_iou(sure, sure > level) == pytest.approx(highest, abs=1e-6)
    assert level == pytest.approx(max(highest / (1 + highest), LOWEST_THRESHOLD), abs=1e-6)


def test_a_sure_mask_is_cut_in_the_middle_and_an_unsure_one_lower() -> None:
    sure = np.full((8, 8), -12.0, np.float32)
    sure[2:5, 2:5] = 12.0
    unsure = np.where(sure > 0, np.float32(logit(0.3)), sure)
    assert best_threshold(sure) == pytest.approx(0.5, abs=1e-3)
    assert best_threshold(unsure) == pytest.approx(0.3 / 1.3, abs=1e-3)
    np.testing.assert_array_equal(sigmoid(unsure) > best_threshold(unsure), sure > 0)


@pytest.mark.parametrize("value", [-math.inf, -1e9, -20.0, -12.0, 0.0, 20.0, 1e9, math.inf])
def test_an_even_map_is_all_or_nothing(value: float) -> None:
    level = best_threshold(np.full((4, 4), value, np.float32))
    assert LOWEST_THRESHOLD <= level <= 0.5
    assert (sigmoid(np.float32(value)) > level) == (value >= 0)


def test_nothing_is_shown_of_what_is_not_likely_at_all() -> None:
    values = np.full((8, 8), -30.0, np.float32)
    values[2, 3] = logit(LOWEST_THRESHOLD) - 0.1
    assert best_threshold(values) == LOWEST_THRESHOLD
    values[2, 3] = logit(LOWEST_THRESHOLD) + 0.1
    np.testing.assert_array_equal(sigmoid(values) > best_threshold(values), values > -30)


def test_cells_that_are_no_number_do_not_count() -> None:
    values = np.full((8, 8), -9.0, np.float32)
    values[2:5, 2:5] = 1.0
    level = best_threshold(values)
    values[7, 7] = np.nan
    assert best_threshold(values) == pytest.approx(level, abs=1e-4)
    assert best_threshold(np.full((2, 2), np.nan, np.float32)) == LOWEST_THRESHOLD


def test_logit_and_sigmoid_undo_each_other() -> None:
    assert (logit(0.0), logit(1.0), logit(0.5)) == (-math.inf, math.inf, 0.0)
    values = np.array([0.01, 0.3, 0.5, 0.9], np.float32)
    np.testing.assert_allclose(sigmoid(logits_of(values)), values, rtol=1e-5)
