"""Scores of a model whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import BrightnessSegmenter
from wordmask.data.sample import Query, Sample
from wordmask.images import RgbImage
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.train.validation import Answered, Tally, by_phrase, judge, tally


class Halves:
    """Two pictures, each dark on the left and bright on the right; the second one's upper half does not count."""

    name, split, fingerprint = "halves", "all", "none"
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        pixels = np.zeros((32, 64, 3), np.uint8)
        pixels[:, 32:] = 255
        everything, bright, upper = np.ones((32, 64), bool), pixels[..., 0] > 0, np.zeros((32, 64), bool)
        upper[:16] = True
        masks = {"bright": everything, "dark": ~bright, "odd": np.zeros_like(bright)}
        queries = tuple(Query(TextPrompt(word), pack(mask), word) for word, mask in masks.items())
        absent = ("spoon", "bright", "fork", "dark")  # the fourth is one too many
        return Sample(str(index), RgbImage(pixels), (32, 64), queries, absent, pack(upper) if index else None)


def test_a_tally_by_hand() -> None:
    sums = tally(BrightnessSegmenter(), Halves(), [0, 1])
    assert (sums.there, sums.alarms, sums.absent) == (4, 2, 8)  # bright is no spoon, but is said to be absent
    assert sums.iou == pytest.approx(0.5 + 1 + 0.5 + 1, abs=0.1)
    assert sums.scores() == {"iou": sums.iou / 4, "false_alarms": 0.25}
    assert sums.values() == (sums.iou, 4, 2, 8)
    assert Tally().scores() == {}


def test_answers_by_phrase_add_up_to_the_tally() -> None:
    answers = list(judge(BrightnessSegmenter(), Halves(), [0, 1]))
    assert [answer.phrase for answer in answers[:6]] == ["bright", "dark", "odd", "spoon", "bright", "fork"]
    assert answers[2] == Answered("0", "odd", None, False)
    phrases = by_phrase(answers)
    assert list(phrases) == ["bright", "dark", "fork", "odd", "spoon"]
    assert (phrases["bright"].there, phrases["bright"].alarms, phrases["bright"].absent) == (2, 2, 2)
    assert phrases["dark"].values()[1:] == (2, 0, 0)
    whole = tally(BrightnessSegmenter(), Halves(), [0, 1])
    assert tuple(map(sum, zip(*(one.values() for one in phrases.values()), strict=True))) == pytest.approx(
        whole.values()
    )
