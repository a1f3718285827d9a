"""Scores of presence against scikit-learn and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.judgements import EVERY, flat
from wordmask.errors import DataError
from wordmask.metrics import presence
from wordmask.metrics.judged import Judged
from wordmask.metrics.presence import Presence


def _random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores with many ties, and which things are there."""
    rng = np.random.default_rng(seed)
    there = rng.random(60) < 0.4
    return np.clip(np.round(0.3 * there + rng.random(60) * 0.7, 1 + seed % 2), 0, 1), there


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_sklearns(seed: int) -> None:
    scores, there = _random(seed)
    assert presence.auroc(scores, there) == pytest.approx(sk.roc_auc_score(there, scores), abs=1e-12)
    assert presence.average_precision(scores, there) == pytest.approx(sk.average_precision_score(there, scores))
    assert presence.brier(scores, there) == pytest.approx(sk.brier_score_loss(there, scores), abs=1e-12)
    for threshold in (0.0, 0.3, 0.5, 1.0):
        expected = sk.matthews_corrcoef(there, scores >= threshold)
        assert presence.mcc(scores, there, threshold=threshold) == pytest.approx(expected, abs=1e-12)
    false_alarms, found, _ = sk.roc_curve(there, scores, drop_intermediate=False)
    for recall in (0.5, 0.95, 1.0):
        expected = false_alarms[found >= recall].min()
        assert presence.fpr_at_recall(scores, there, recall=recall) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_equals_the_literal_one(seed: int) -> None:
    scores, there = _random(seed)
    total = 0.0
    for bin_ in range(10):
        held = [(s, t) for s, t in zip(scores, there, strict=True) if max(math.ceil(round(s * 10, 9)) - 1, 0) == bin_]
        if held:
            gap = np.mean([t for _, t in held]) - np.mean([s for s, _ in held])
            total += len(held) / len(scores) * abs(gap)
    assert presence.calibration_error(scores, there, bins=10) == pytest.approx(total, abs=1e-12)


def test_by_hand() -> None:
    scores, there = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert presence.auroc(scores, there) == 3.5 / 4
    assert presence.fpr_at_recall(scores, there) == 0.5
    assert presence.average_precision(scores, there) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert presence.brier(scores, there) == pytest.approx((0.01 + 0.04 + 0.64 + 0.01) / 4)
    assert presence.mcc(scores, there, threshold=0.8) == pytest.approx(1 / math.sqrt(3))
    assert presence.calibration_error(scores, there, bins=2) == pytest.approx((abs(2 - 2.5) + 0.1) / 4)


@pytest.mark.parametrize("there", [True, False])
def test_one_kind_alone_cannot_be_ranked(there: bool) -> None:
    scores, flags = np.array([0.2, 0.7]), np.array([there, there])
    assert math.isnan(presence.auroc(scores, flags))
    assert math.isnan(presence.fpr_at_recall(scores, flags))
    ap = presence.average_precision(scores, flags)
    assert ap == 1.0 if there else math.isnan(ap)
    assert presence.mcc(scores, flags, threshold=0.5) == 0.0
    assert presence.mcc(scores, flags, threshold=0.2 if there else 0.8) == 1.0


def test_the_truth_decides_what_is_there() -> None:
    scored = Presence()
    for judged in EVERY:
        scored.update(judged)
    expected = [(judged.presence, judged.truth.any()) for judged in EVERY if judged.pixels]
    assert [tuple(row) for row in scored.rows()] == expected
    there = np.array([flag for _, flag in expected])
    assert scored.compute()["auroc"] == pytest.approx(sk.roc_auc_score(there, [score for score, _ in expected]))


def test_a_method_without_presence_is_one_sentence() -> None:
    judged = Judged(np.ones((2, 2), bool), np.ones((2, 2), bool), "a", "k")
    with pytest.raises(DataError, match="no presence for 'k'"):
        Presence().update(judged)


def test_ignored_truth_is_not_there() -> None:
    truth = np.array([[True, False]])
    scored = Presence()
    scored.update(Judged(truth, truth, "a", "k", ignored=truth, presence=0.5))
    scored.update(flat(True, True))
    assert scored.rows()[:, 1].tolist() == [0.0, 1.0]
