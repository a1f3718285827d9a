"""The choice among regions by words of place, on boxes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.components.place import RegionGeometry, intended, parse

SIZE = (100, 200)
# left, middle and right person; the middle one is the tallest, the right one the nearest
PEOPLE = [[10, 40, 30, 80], [80, 20, 100, 85], [150, 50, 190, 95]]
PLACES = {
    "the person on the left": 0,
    "right person": 2,
    "the middle person": 1,
    "person in the middle": 1,
    "second person from the left": 1,
    "third person from the left": 2,
    "second person from the right": 1,
    "the last person": 2,
    "the first person": 0,
    "the tallest person": 1,
    "the shortest person": 0,
    "the largest person": 2,
    "the smallest person": 0,
    "the widest person": 2,
    "the second largest person": 1,
    "the person closest to the camera": 2,
    "the farthest person": 0,
    "the top person": 1,
    "the person at the bottom": 2,
    "the person in the bottom right corner": 2,
    "the leftmost person": 0,
    "the second to last person": 1,
}


def where(boxes: list[list[int]]) -> RegionGeometry:
    return RegionGeometry.of_boxes(boxes, SIZE)


@pytest.mark.parametrize(("phrase", "chosen"), PLACES.items())
def test_one_is_chosen(phrase: str, chosen: int) -> None:
    assert intended(parse(phrase), where(PEOPLE), [0.9, 0.8, 0.7]).chosen == (chosen,)


@pytest.mark.parametrize(("phrase", "chosen"), PLACES.items())
def test_mirrored_images_and_words_choose_the_same(phrase: str, chosen: int) -> None:
    swapped = phrase.translate(str.maketrans({})).replace("left", "#").replace("right", "left").replace("#", "right")
    swapped = swapped.replace("last", "last one-").replace("first", "last").replace("last one-", "first")
    if swapped.startswith("the second to first"):
        swapped = "the second person"
    mirrored = where([[200 - x1, y0, 200 - x0, y1] for x0, y0, x1, y1 in PEOPLE])
    assert intended(parse(swapped), mirrored, [0.9, 0.8, 0.7]).chosen == (chosen,)


@pytest.mark.parametrize(
    ("phrase", "chosen"),
    [
        ("the two people on the left", {0, 1}), ("the people on the left", {0, 1}), ("the people on the right", {2}),
        ("all people except the leftmost", {1, 2}),
        ("the last two people", {1, 2}), ("both people on the right", {1, 2}),
    ],
)  # fmt: skip
def test_several_are_chosen(phrase: str, chosen: set[int]) -> None:
    assert set(intended(parse(phrase), where(PEOPLE), [0.9, 0.8, 0.7]).chosen) == chosen


CUPS = [[10, 60, 30, 80], [70, 60, 90, 80], [150, 60, 170, 80], [75, 20, 88, 32]]
LAPTOP, TABLE, TWO = [[95, 50, 130, 82]], [[60, 78, 180, 98]], [[40, 60, 55, 80], [100, 60, 115, 80]]


@pytest.mark.parametrize(
    ("phrase", "things", "chosen"),
    [
        ("the cup next to the laptop", LAPTOP, 1),
        ("the cup left of the laptop", LAPTOP, 1),
        ("the cup to the right of the laptop", LAPTOP, 2),
        ("the cup above the laptop", LAPTOP, 3),
        ("the cup closest to the laptop", LAPTOP, 1),
        ("the cup farthest from the laptop", LAPTOP, 0),
        ("the cup between the two laptops", TWO, 1),
        ("the cup below the lamp", [[5, 5, 35, 20]], 0),
        ("the cup inside the box", [[145, 50, 175, 85]], 2),
        ("the cup on the table on the right", TABLE, 2),
    ],
)
def test_relations(phrase: str, things: list[list[int]], chosen: int) -> None:
    expression = parse(phrase)
    related = {thing: where(things) for thing in expression.related}
    scored = intended(expression, where(CUPS), [0.9, 0.8, 0.7, 0.6], related=related)
    if phrase.endswith("table on the right"):  # the table is on the right; both cups on it fit
        assert scored.chosen[0] in (1, 2)
    else:
        assert scored.chosen == (chosen,)


def test_between_two_named_things_and_without() -> None:
    expression = parse("the cup between the plate and the fork")
    plate, fork = expression.related
    related = {plate: where([[40, 60, 55, 80]]), fork: where([[100, 60, 115, 80]])}
    assert intended(expression, where(CUPS), np.ones(4), related=related).chosen == (1,)
    without = parse("the person without a hat")
    hats = {without.related[0]: where([[12, 38, 28, 46], [152, 48, 188, 60]])}
    assert intended(without, where(PEOPLE), [0.9, 0.8, 0.7], related=hats).chosen == (1,)


def test_a_related_thing_that_was_not_found_is_left_out_and_noted() -> None:
    scored = intended(parse("the person next to the dog, on the right"), where(PEOPLE), [0.9, 0.8, 0.7])
    assert scored.chosen == (2,)
    assert scored.notes == ("next_to(dog): 'dog' not found, left out",)


def test_only_candidates_near_the_best_score_count() -> None:
    scores = [0.1, 0.9, 0.85]  # the first is another thing
    assert intended(parse("person on the left"), where(PEOPLE), scores, margin=0.5).chosen == (1,)
    assert intended(parse("person on the left"), where(PEOPLE), scores).chosen == (0,)


def test_known_depth_replaces_its_estimate() -> None:
    assert intended(parse("nearest person"), where(PEOPLE), [1, 1, 1], depth=[1.0, 5.0, 9.0]).chosen == (0,)


def test_too_high_an_ordinal_takes_the_last_and_says_so() -> None:
    scored = intended(parse("the fifth person from the left"), where(PEOPLE), [0.9, 0.8, 0.7])
    assert (scored.chosen, scored.notes) == ((2,), ("#5 from left: only 3 found, the nearest in order is taken",))


@pytest.mark.parametrize("phrase", ["the person on the left", "second from the right", "left", "the largest"])
def test_none_one_and_scores_that_are_no_numbers(phrase: str) -> None:
    assert intended(parse(phrase), where([]), []).chosen == ()
    assert intended(parse(phrase), where(PEOPLE[:1]), [float("nan")]).chosen == (0,)
    assert len(intended(parse(phrase), where(PEOPLE), [float("nan")] * 3).chosen) == 1
    assert len(intended(parse(phrase), where(PEOPLE), [0.5] * 3, margin=0.5).chosen) == 1


def test_the_subject_who_faces_the_camera_has_left_and_right_mirrored() -> None:
    assert intended(parse("the person on the left").viewed_by_subject(), where(PEOPLE), [1, 1, 1]).chosen == (2,)
    beside = parse("the cup on the laptop's left")
    related = {beside.related[0]: where(LAPTOP)}
    assert intended(beside, where(CUPS), [1, 1, 1, 1], related=related).chosen == (2,)
