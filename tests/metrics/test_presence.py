"""Scores of presence against scikit-learn and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from wordmask.metrics import presence
from wordmask.metrics.presence import counts_by_score


def _random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores with many ties, and which things are present."""
    rng = np.random.default_rng(seed)
    present = rng.random(60) < 0.4
    return np.clip(np.round(0.3 * present + rng.random(60) * 0.7, 1 + seed % 2), 0, 1), present


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_sklearns(seed: int) -> None:
    scores, present = _random(seed)
    counts = counts_by_score(scores, present)
    assert presence.auroc(*counts) == pytest.approx(sk.roc_auc_score(present, scores), abs=1e-12)
    assert presence.average_precision(*counts) == pytest.approx(sk.average_precision_score(present, scores))
    assert presence.brier(scores, present) == pytest.approx(sk.brier_score_loss(present, scores), abs=1e-12)
    false_positives, found, _ = sk.roc_curve(present, scores, drop_intermediate=False)
    for recall in (0.5, 0.95, 1.0):
        expected = false_positives[found >= recall].min()
        assert presence.fpr_at_recall(*counts, recall=recall) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_weighted_scores_are_sklearns(seed: int) -> None:
    scores, present = _random(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(scores)).astype(float)
    distinct, places = np.unique(scores, return_inverse=True)
    positives, negatives = (np.bincount(places, weights * flags, len(distinct)) for flags in (present, ~present))
    expected = sk.roc_auc_score(present, scores, sample_weight=weights)
    assert presence.auroc(positives, negatives) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_equals_the_literal_one(seed: int) -> None:
    scores, present = _random(seed)
    total = 0.0
    for bin_ in range(10):
        held = [(s, p) for s, p in zip(scores, present, strict=True) if max(math.ceil(round(s * 10, 9)) - 1, 0) == bin_]
        if held:
            gap = np.mean([p for _, p in held]) - np.mean([s for s, _ in held])
            total += len(held) / len(scores) * abs(gap)
    assert presence.calibration_error(scores, present, bins=10) == pytest.approx(total, abs=1e-12)


def test_by_hand() -> None:
    scores, present = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    counts = counts_by_score(scores, present)
    assert [part.tolist() for part in counts] == [[0, 1, 1], [1, 1, 0]]
    assert presence.auroc(*counts) == 3.5 / 4
    assert presence.fpr_at_recall(*counts) == 0.5
    assert presence.average_precision(*counts) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert presence.brier(scores, present) == pytest.approx((0.01 + 0.04 + 0.64 + 0.01) / 4)
    assert presence.calibration_error(scores, present, bins=2) == pytest.approx((abs(2 - 2.5) + 0.1) / 4)


@pytest.mark.parametrize("present", [True, False])
def test_one_kind_alone_cannot_be_ranked(present: bool) -> None:
    counts = counts_by_score(np.array([0.2, 0.7]), np.array([present, present]))
    assert math.isnan(presence.auroc(*counts))
    assert math.isnan(presence.fpr_at_recall(*counts))
    ap = presence.average_precision(*counts)
    assert ap == 1.0 if present else math.isnan(ap)


def test_nothing_has_no_calibration_error() -> None:
    assert math.isnan(presence.calibration_error(np.zeros(0), np.zeros(0, bool)))
