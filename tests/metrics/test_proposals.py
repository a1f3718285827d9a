"""IoUs of proposals against literal counts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics.examples import RANDOM, Example, literal_counts
from wordmask.errors import DataError
from wordmask.metrics.proposals import IOU_THRESHOLDS, proposal_ious


def test_thresholds_are_those_of_coco() -> None:
    assert IOU_THRESHOLDS.tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


@pytest.mark.parametrize("example", RANDOM[:6])
def test_ious_of_proposals_are_literal(example: Example) -> None:
    proposals = [example.mask, ~example.mask, example.mask[::-1]]
    expected = []
    for proposal in proposals:
        tp, fp, fn, _ = literal_counts(example, proposal)
        expected.append(tp / (tp + fp + fn))
    found = proposal_ious(np.stack(proposals), example.ground_truth, example.ignored)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_no_proposals_have_no_ious() -> None:
    assert proposal_ious([], np.ones((2, 2), bool)).tolist() == []


def test_proposals_that_do_not_fit_are_one_sentence() -> None:
    for wrong in (np.ones((2, 2), bool), np.ones((1, 20), np.uint8)):
        with pytest.raises(DataError, match="a proposal"):
            proposal_ious([wrong], np.ones((1, 20), bool))
