"""Weak parts of a mask: by hand, on a map with a strong and a weak square."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.components.thresholds import own_threshold
from wordmask.components.weak_parts import without_weak_parts
from wordmask.ops.geometry import squash
from wordmask.ops.probability import logit, sigmoid

PLACEMENT = squash((80, 80), (80, 80))


def logits(strong: float = 0.9, weak: float = 0.4) -> np.ndarray:
    """A map (20, 20) of probability 0.01, with a square of 16 cells and a larger, weaker one of 36."""
    values = np.full((20, 20), 0.01)
    values[2:6, 2:6] = strong
    values[10:16, 10:16] = weak
    return np.log(values / (1 - values)).astype(np.float32)


def test_a_weak_part_goes_and_the_threshold_rises() -> None:
    values = logits()
    before = own_threshold(values, PLACEMENT)
    assert before < 0.4  # the weak square is in the mask
    kept, threshold = without_weak_parts(values, PLACEMENT, 0.5)
    assert threshold > before
    mask = sigmoid(kept) > threshold
    assert mask[2:6, 2:6].all()
    assert mask.sum() == 16


def test_the_heatmap_changes_in_the_weak_part_alone_and_the_input_not_at_all() -> None:
    values = logits()
    kept, _ = without_weak_parts(values, PLACEMENT, 0.5)
    assert np.array_equal(values, logits())
    changed = kept != values
    assert changed[10:16, 10:16].all()
    assert changed.sum() == 36


@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_parts_that_reach_the_ratio_stay(ratio: float) -> None:
    values = logits()
    kept, threshold = without_weak_parts(values, PLACEMENT, ratio)
    assert np.array_equal(kept, values)
    assert threshold == own_threshold(values, PLACEMENT)


def test_one_part_alone_stays_as_it_is() -> None:
    values = logits(weak=0.01)
    kept, threshold = without_weak_parts(values, PLACEMENT, 1.0)
    assert np.array_equal(kept, values)
    assert threshold == own_threshold(values, PLACEMENT)


def test_a_part_that_a_negative_claims_is_not_the_strongest() -> None:
    values, negative = logits(), np.full((20, 20), -9, np.float32)
    negative[2:6, 2:6] = logit(0.95)
    kept, _ = without_weak_parts(values, PLACEMENT, 0.5, negative=negative)
    assert np.array_equal(kept, values)  # the square of 0.4 is the only part left
