"""Recall of proposals, the oracle gap and mirror consistency, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.metrics.judgements import IGNORED, RANDOM, flat, literal_counts
from wordmask.errors import DataError
from wordmask.metrics.judged import Judged
from wordmask.metrics.mirror import Mirror, mirror_overlap, swap_sides
from wordmask.metrics.proposals import IOU_THRESHOLDS, Proposals, average_recall, proposal_ious, recall_at

PLACES = np.arange(20)[None]


def _first(number: int) -> np.ndarray:
    return number > PLACES


def _judged(chosen: int, true: int, **more: object) -> Judged:
    return Judged(_first(chosen), _first(true), "a", f"{chosen} of {true}", **more)  # type: ignore[arg-type]


def test_recall_and_gap_by_hand() -> None:
    scored = Proposals(at=(1, 2))
    scored.update(_judged(2, 10), [_first(2), _first(5), _first(9)])  # IoU 0.2, 0.5, 0.9
    scored.update(_judged(16, 20), [_first(16), _first(1)])  # 0.8, 0.05
    scored.update(_judged(0, 20), [])
    assert scored.rows() == pytest.approx(np.array([[0.2, 0.5, 0.9, 0.2], [0.8, 0.8, 0.8, 0.8], [0, 0, 0, 0]]))
    scores = scored.compute()
    expected = {
        "mean_best_iou@1": 1 / 3, "mean_best_iou@2": 1.3 / 3, "mean_best_iou": 1.7 / 3, "r50@1": 1 / 3, "r50@2": 2 / 3,
        "r50": 2 / 3, "r75@1": 1 / 3, "r75@2": 1 / 3, "r75": 2 / 3, "ar@1": 7 / 30, "ar@2": 8 / 30, "ar": 16 / 30,
        "oracle_iou": 1.7 / 3, "chosen_iou": 1 / 3, "oracle_gap": 0.7 / 3,
    }  # fmt: skip
    assert scores == pytest.approx(expected)


def test_recall_counts_a_proposal_on_the_threshold() -> None:
    assert IOU_THRESHOLDS.tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    best = np.array([0.75, 0.5, 0.49])
    assert (recall_at(best, 0.5), recall_at(best, 0.75)) == (2 / 3, 1 / 3)
    assert average_recall(best) == pytest.approx(np.mean([(best >= t).mean() for t in IOU_THRESHOLDS]))


@pytest.mark.parametrize("judged", RANDOM[:6])
def test_ious_of_proposals_are_literal(judged: Judged) -> None:
    proposals = [judged.mask, ~judged.mask, judged.mask[::-1]]
    expected = []
    for proposal in proposals:
        tp, fp, fn, _ = literal_counts(judged, proposal)
        expected.append(tp / (tp + fp + fn))
    found = proposal_ious(np.stack(proposals), judged.truth, judged.ignored)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_what_is_not_there_cannot_be_recalled() -> None:
    scored = Proposals()
    for judged in (flat(False, True), flat(False, False), IGNORED):
        scored.update(judged, [judged.mask])
    assert len(scored.rows()) == 0
    assert math.isnan(scored.compute()["ar"])


def test_proposals_that_do_not_fit_are_one_sentence() -> None:
    for wrong in (np.ones((2, 2), bool), np.ones((1, 20), np.uint8)):
        with pytest.raises(DataError, match=r"'1 of 2': Got a proposal"):
            Proposals().update(_judged(1, 2), [wrong])
    with pytest.raises(DataError, match="from 1"):
        Proposals(at=(0,))


@pytest.mark.parametrize(
    ("phrase", "swapped"),
    [
        ("the man on the left", "the man on the right"),
        ("Right dog", "Left dog"),
        ("LEFT!", "RIGHT!"),
        ("left-hand side, not right", "right-hand side, not left"),
        ("leftmost zebra", "rightmost zebra"),
        ("the righthand cup leftwards of it", "the lefthand cup rightwards of it"),
        ("bright leftover on an upright righteous copyright", "bright leftover on an upright righteous copyright"),
        ("man's left/right shoe", "man's right/left shoe"),
        ("lefthander", "lefthander"),
        ("", ""),
    ],
)
def test_sides_are_swapped(phrase: str, swapped: str) -> None:
    assert swap_sides(phrase) == swapped
    assert swap_sides(swapped) == phrase


def test_a_consistent_method() -> None:
    scored = Mirror()
    scored.update(_judged(5, 10), _first(5)[:, ::-1])
    assert scored.rows().tolist() == [[5, 5, 5, 10, 5, 10]]
    assert scored.compute() == {"mirror_iou": 1.0, "mirror_ratio": 1.0}


def test_a_method_that_ignores_sides() -> None:
    """It answers the same side of the frame again: nothing in common with what it said before, nor with the truth."""
    scored = Mirror()
    scored.update(_judged(5, 10), _first(5))
    assert scored.compute() == {"mirror_iou": 0.0, "mirror_ratio": 0.0}
    scored.update(_judged(10, 10), _first(8)[:, ::-1])
    assert scored.compute() == pytest.approx({"mirror_iou": 0.4, "mirror_ratio": 0.4 / 0.75})


def test_mirror_degenerate() -> None:
    assert mirror_overlap(_first(3), _first(3)) == (0, 6)
    scored = Mirror()
    scored.update(_judged(0, 10), _first(0))
    scores = scored.compute()
    assert scores["mirror_iou"] == 1.0
    assert math.isnan(scores["mirror_ratio"])
    ignored = Mirror()
    ignored.update(_judged(10, 10, ignored=PLACES >= 5), _first(8)[:, ::-1])
    assert ignored.rows().tolist() == [[5, 5, 5, 5, 5, 5]]
    with pytest.raises(DataError, match="a mirrored mask"):
        scored.update(_judged(1, 2), np.ones((20, 1), bool))
