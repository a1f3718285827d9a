"""The instances that words of place choose among."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.components.place import parse
from wordmask.components.place.instances import instances_of, presumed, score_ratio
from wordmask.components.thresholds import Thresholds
from wordmask.ops.geometry import squash
from wordmask.prompts import TextPrompt
from wordmask.results import Found, MaskLogits

SIZE = (60, 160)


def dense(*discs: tuple[int, int], valley: float) -> Found:
    """A result whose map has discs (column, radius); the two leftmost are joined by a valley of a certain logit."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    values = np.full(SIZE, -6.0, np.float32)
    first, second = sorted(discs)[:2]
    values[24:36, first[0] : second[0]] = valley
    for column, radius in discs:
        values[(columns - column) ** 2 + (rows - 30) ** 2 < radius**2] = 4.0
    heat = MaskLogits(values, squash(SIZE, SIZE))
    return Found(
        TextPrompt("dog"), 1.0, threshold=0.5, presence_threshold=0.5, size=SIZE, heatmap_logits=heat
    )  # fmt: skip


@pytest.mark.parametrize(("valley", "count"), [(0.5, 3), (3.5, 2)])
def test_enough_instances_still_come_apart_at_clear_valleys_only(valley: float, count: int) -> None:
    found = dense((25, 18), (70, 18), (135, 18), valley=valley)
    regions, notes = instances_of(found, 2)
    assert len(regions) == count
    assert notes == (["taken apart at clear valleys: 3"] if count == 3 else [])
    assert sum(region.packed().area for region in regions) == found.area


def test_orders_and_extremes_need_surer_instances_than_sides() -> None:
    phrases = ["the dog on the left", "the second dog from the left", "the largest dog", "the dog next to the car"]
    assert [score_ratio(parse(phrase)) for phrase in phrases] == [0.5, 0.75, 0.75, 0.5]
    assert [presumed(parse(phrase)) for phrase in phrases] == [2, 2, 2, 1]


def test_names_of_phrases_with_place_have_a_threshold_of_their_own() -> None:
    assert Thresholds(None, 0.5, 0.4).of_places == Thresholds(None, 0.4)
    assert Thresholds(0.3, 0.5).of_places == Thresholds(0.3, 0.5)
