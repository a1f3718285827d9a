"""The instances that words of place choose among."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wordmask.components.place import parse
from wordmask.components.place.instances import Presumed, instances_of, presumed, sure_enough
from wordmask.components.place.selection import select
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
    regions, notes = instances_of(found, Presumed(2))
    assert len(regions) == count
    assert notes == (["taken apart at clear valleys: 3"] if count == 3 else [])
    assert sum(region.packed().area for region in regions) == found.area


def test_what_phrases_presume() -> None:
    phrases = ["the dog on the left", "the second dog from the top", "the largest dog", "the dog next to the car"]
    assert [presumed(parse(phrase)) for phrase in phrases] == [
        Presumed(2, sides=True, axis=0), Presumed(2, axis=1), Presumed(2), Presumed(1)
    ]  # fmt: skip
    assert not presumed(parse("all dogs on the left")).sides


@pytest.mark.parametrize(
    ("phrase", "sure"),
    [("the dog on the left", [0, 1, 2]), ("the second dog from the left", [0, 1]), ("the largest dog", [0, 1]),
     ("the third dog from the left", [0, 1, 2]), ("the dog next to the car", [0])],
)  # fmt: skip
def test_as_many_instances_as_presumed_are_candidates_however_unsure(phrase: str, sure: list[int]) -> None:
    assert sure_enough([0.9, 0.3, 0.2, 0.05], parse(phrase)) == sure


def test_pieces_above_each_other_are_not_told_apart_by_left_and_right() -> None:
    tall = np.full((160, 60), -6.0, np.float32)
    tall[10:70, 15:45], tall[70:80, 26:34], tall[80:150, 15:45] = 4.0, 0.5, 4.0
    found = replace(dense((25, 18), (70, 18), valley=-6.0), size=(160, 60),
                    heatmap_logits=MaskLogits(tall, squash((160, 60), (160, 60))))  # fmt: skip
    assert len(instances_of(found, presumed(parse("the dog at the top")))[0]) == 2
    regions, _ = instances_of(found, presumed(parse("the dog on the left")))
    assert [region.packed().area for region in regions] == [found.area]


def test_sides_also_choose_from_weaker_parts() -> None:
    found = dense((25, 18), (70, 18), valley=-6.0)
    assert found.heatmap_logits is not None
    values = found.heatmap_logits.values.copy()
    values[24:36, 130:150] = -0.5  # probability 0.38
    found = replace(found, heatmap_logits=replace(found.heatmap_logits, values=values))
    assert select(found, parse("the dog on the right"), {}).instances[0].box[0] == 130
    assert select(found, parse("the rightmost dog"), {}).instances[0].box[0] < 100


def test_names_of_phrases_with_place_have_a_threshold_of_their_own() -> None:
    assert Thresholds(None, 0.5, 0.4).of_places == Thresholds(None, 0.4)
    assert Thresholds(0.3, 0.5).of_places == Thresholds(0.3, 0.5)
