"""Scores of a model whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import BrightnessSegmenter
from wordmask.data.sample import Query, Sample
from wordmask.images import RgbImage
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.training.validation import Scored, Totals, answer, questions_of, score, totals_by_phrase


class Halves:
    """Two images, each dark on the left and bright on the right; the second one's upper half does not count."""

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


def whole() -> Totals:
    return Totals.sum(totals_by_phrase(score(BrightnessSegmenter(), Halves(), [0, 1])).values())


def test_totals_by_hand() -> None:
    sums = whole()
    assert (sums.present, sums.false_positives, sums.absent) == (
        4,
        2,
        8,
    )  # one wrong "absent" in each
    assert sums.iou == pytest.approx(0.5 + 1 + 0.5 + 1, abs=0.1)
    assert sums.scores() == {"iou": sums.iou / 4, "false_positives": 0.25}
    assert sums.values() == (sums.iou, 4, 2, 8)
    assert Totals().scores() == {}


def test_answers_by_phrase_add_up_to_the_totals() -> None:
    answers = list(score(BrightnessSegmenter(), Halves(), [0, 1]))
    assert [answer.phrase for answer in answers[:6]] == ["bright", "dark", "odd", "spoon", "bright", "fork"]
    assert answers[2] == Scored("0", "odd", None, False)
    phrases = totals_by_phrase(answers)
    assert list(phrases) == ["bright", "dark", "fork", "odd", "spoon"]
    assert (phrases["bright"].present, phrases["bright"].false_positives, phrases["bright"].absent) == (2, 2, 2)
    assert phrases["dark"].values()[1:] == (2, 0, 0)
    sums = [sum(column) for column in zip(*(one.values() for one in phrases.values()), strict=True)]
    assert sums == pytest.approx(list(whole().values()))


def test_ignored_pixels_count_neither_way() -> None:
    """The right half is bright; "bright" is true on the left, and the whole right half is ignored."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 32:] = 255
    right = pixels[..., 0] > 0
    queries = tuple(
        Query(TextPrompt(word), pack(mask), word)
        for word, mask in {"dark": np.ones((32, 64), bool), "bright": right}.items()
    )
    sample = Sample("0", RgbImage(pixels), (32, 64), queries, ("bright",), pack(right))
    dark, absent = answer(BrightnessSegmenter(), sample, questions_of(sample, sample.absent))
    assert dark.iou == 1.0  # what it misses is ignored
    assert (absent.iou, absent.found) == (None, False)  # what it finds is ignored, too
    assert (dark.phrase, absent.phrase) == ("dark", "bright")  # of a mask that is all ignored nothing is asked
