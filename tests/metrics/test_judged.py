"""The pair of answer and truth refuses what cannot be compared, in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.metrics.judgements import EVERY, IGNORED, literal_counts
from wordmask.errors import DataError
from wordmask.metrics.judged import Judged, confusion_counts, overlap

GOOD: dict[str, Any] = {"mask": np.zeros((3, 4), bool), "truth": np.zeros((3, 4), bool), "label": "a", "key": "k 7"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"mask": np.zeros((4, 3), bool)}, "mask bool"),
        ({"mask": np.zeros((3, 4), np.uint8)}, "mask uint8"),
        ({"truth": np.zeros((3, 4, 1), bool)}, "truth bool"),
        ({"truth": np.zeros((0, 4), bool), "mask": np.zeros((0, 4), bool)}, "truth bool"),
        ({"truth": [[True]]}, "truth list"),
        ({"ignored": np.zeros((3, 5), bool)}, "ignored bool"),
        ({"probability": np.zeros((3, 4))}, "probability float64"),
        ({"probability": np.zeros((2, 4), np.float32)}, "probability float32"),
        ({"presence": 1.5}, "presence 1.5"),
        ({"presence": float("nan")}, "presence nan"),
    ],
)
def test_what_does_not_fit_is_one_sentence(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError) as caught:
        Judged(**(GOOD | wrong))
    message = str(caught.value)
    assert message.startswith(f"Got {named}")
    assert "'k 7'" in message
    assert "\n" not in message


@pytest.mark.parametrize("judged", EVERY)
def test_counts_are_those_of_the_pixels(judged: Judged) -> None:
    counted = literal_counts(judged)
    assert confusion_counts(judged.mask, judged.truth, judged.ignored) == counted
    assert overlap(judged.mask, judged.truth, judged.ignored) == (counted[0], sum(counted[:3]))
    assert judged.pixels == sum(counted)
    assert judged.there == (counted[0] + counted[2] > 0)


def test_nothing_counts_where_all_is_ignored() -> None:
    assert (IGNORED.pixels, IGNORED.there) == (0, False)
