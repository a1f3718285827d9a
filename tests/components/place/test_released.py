"""The published rectifier against vectors derived from its code (dependency trees by hand, no model)."""

from __future__ import annotations

import pytest

from wordmask.components.place import DependencyTree, extract_entity, rectify, released, target_phrase


def tree(text: str, heads: list[int], chunks: list[tuple[int, int]]) -> DependencyTree:
    return DependencyTree(tuple(text.split()), tuple(heads), tuple(chunks))


LEFT_MAN = tree("left man", [1, 1], [(0, 2)])
MAN_LEFT_SIDE = tree("man on the left side", [0, 0, 4, 4, 1], [(0, 1), (2, 5)])
TOP_LEFT = tree("top left pizza", [2, 2, 2], [(0, 3)])
BOTTOM_LEFT = tree("bottom left pizza", [2, 2, 2], [(0, 3)])
MAN_LEFT_OF = tree("man left of dog", [0, 0, 1, 2], [(0, 1), (3, 4)])
STANDING = tree("the man standing on the right", [1, 1, 1, 2, 5, 3], [(0, 2), (4, 6)])
IN_RED = tree("woman in red shirt on right", [0, 0, 3, 1, 0, 4], [(0, 1), (2, 4), (5, 6)])
MIDDLE = tree("middle guy", [1, 1], [(0, 2)])
ON_LEFT = tree("man on left", [0, 0, 1], [(0, 1), (2, 3)])
RIGHT = tree("right", [0], [])

ENTITIES = [
    (LEFT_MAN, "left man", "left man", [["left"]], []),
    (ON_LEFT, "man", "man", [["on", "left"]], []),
    (MAN_LEFT_SIDE, "man", "man", [["on", "left", "side"]], [(["on", "side"], "the left side")]),
    (TOP_LEFT, "top left pizza", "top left pizza", [["top"], ["left"]], []),
    (BOTTOM_LEFT, "bottom left pizza", "bottom left pizza", [["left"]], [([], "bottom left pizza")]),
    (MAN_LEFT_OF, "man", "man", [], [(["left", "of"], "dog")]),
    (STANDING, "the man", "the man", [], [([], "the man"), (["standing", "on", "right"], "the right")]),
    (IN_RED, "woman", "woman", [["on", "right"]], [(["in"], "red shirt")]),
    (MIDDLE, "middle guy", "middle guy", [], [([], "middle guy")]),
]


@pytest.mark.parametrize(("parsed", "phrase", "head", "superlatives", "relations"), ENTITIES)
def test_entities_are_those_of_the_published_parser(
    parsed: DependencyTree, phrase: str, head: str, superlatives: list[list[str]], relations: list[object]
) -> None:
    entity = extract_entity(parsed)
    assert entity is not None
    assert target_phrase(parsed) == phrase
    assert entity.text == head
    assert [list(words) for words in entity.superlatives] == superlatives
    assert [(list(words), other.text) for words, other in entity.relations] == relations


def test_a_word_in_no_chunk_is_no_entity() -> None:
    assert extract_entity(RIGHT) is None
    assert target_phrase(RIGHT) == "right"
    assert target_phrase(DependencyTree((), (), ())) == ""


CENTRES = [(10, 10), (90, 12), (15, 95), (88, 90)]
SCORES = [0.1, 0.4, 0.2, 0.3]


@pytest.mark.parametrize(
    ("cue", "chosen"),
    [
        ((), 1), (("left",), 1), (("right",), 3), (("top",), 2), (("bottom",), 1), (("top", "left"), 0),
        (("top", "right"), 2), (("bottom", "left"), 1), (("bottom", "right"), 3),
    ],
)  # fmt: skip
def test_quadrants(cue: tuple[str, ...], chosen: int) -> None:
    assert rectify(SCORES, CENTRES, cue) == chosen


def test_ties_of_halves_take_the_second_quadrant_and_empty_quadrants_the_best() -> None:
    assert rectify([0.5, 0.5, 0.1, 0.1], CENTRES, ("left",)) == 1
    assert rectify([0.5, 0.1, 0.5, 0.1], CENTRES, ("top",)) == 2
    assert rectify([0.2, 0.9], [(10, 10), (90, 90)], ("top", "right")) == 1


@pytest.mark.parametrize(
    ("parsed", "chosen"),
    [
        (LEFT_MAN, 1),  # best of the left half
        (STANDING, 3),  # by the relation's side word
        (MAN_LEFT_OF, 1),  # not rectified: the best of all
        (MAN_LEFT_SIDE, 1),  # both routes: not rectified
        (TOP_LEFT, 0),
        (BOTTOM_LEFT, 1),  # a relation with itself blocks the rule, and the best is taken
        (MIDDLE, 1),
        (RIGHT, 1),
    ],
)
def test_the_published_rule(parsed: DependencyTree, chosen: int) -> None:
    assert released(parsed, SCORES, CENTRES) == chosen


def test_substrings_misfire_as_published() -> None:
    stop = tree("left stop sign", [2, 2, 2], [(0, 3)])
    entity = extract_entity(stop)
    assert entity is not None
    assert entity.relations != ()  # "stop" is an ordinary modifier: not rectified
    sign = tree("left laptop", [1, 1], [(0, 2)])
    assert released(sign, SCORES, CENTRES) == 0  # "laptop" contains "top": top left


@pytest.mark.parametrize("scores", [[], [0.3]])
def test_none_and_one_region_have_an_answer(scores: list[float]) -> None:
    assert released(LEFT_MAN, scores, CENTRES[: len(scores)]) == 0
