"""Words of place for any method: prompts split before a call, instances chosen after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wordmask.components.place.prompts import split_prompts
from wordmask.errors import PromptError
from wordmask.ops.masks import PackedMask, pack, union
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Found, Region

SIZE = (60, 120)
BOXES = {
    "person": [(5, 10, 15, 40), (50, 5, 62, 45), (100, 12, 112, 50)],
    "dog": [(65, 30, 75, 45)],
    "hat": [(5, 8, 15, 14)],
    "eye": [(10, 10, 16, 14), (30, 10, 36, 14)],
}


def mask(box: tuple[int, int, int, int]) -> PackedMask:
    full = np.zeros(SIZE, dtype=bool)
    full[box[1] : box[3], box[0] : box[2]] = True
    return pack(full)


def answers(asked: tuple[Prompt, ...]) -> list[Found]:
    """What a method would find: regions for the names it knows, nothing for others."""
    return [
        Found(
            prompt,
            0.9 if BOXES.get(prompt.name) else 0.1,
            threshold=0.5,
            presence_threshold=0.5,
            size=SIZE,
            regions=tuple(Region(mask(box), 0.8 - 0.1 * i) for i, box in enumerate(BOXES.get(prompt.name, []))),
        )
        for prompt in asked
    ]


def ask(*phrases: str, place: str = "auto") -> list[Found]:
    split = split_prompts([TextPrompt(phrase) for phrase in phrases], place)
    return split.choose(answers(split.asked))


def boxes(found: Found) -> list[tuple[float, ...]]:
    return [instance.box for instance in found.instances]


PERSONS = [tuple(map(float, box)) for box in BOXES["person"]]


def test_the_instance_that_is_meant_is_chosen_under_the_users_phrase() -> None:
    found = ask("the second person from the left")[0]
    assert (found.name, boxes(found)) == ("the second person from the left", [PERSONS[1]])
    assert [candidate.chosen for candidate in found.candidates] == [False, True, False]
    assert found.candidates[1].scores["place"] > found.candidates[0].scores["place"]
    assert "place: person [#2 from left]: 1 of 3 instances chosen" in found.explain()


def test_related_things_are_asked_in_the_same_call_and_once() -> None:
    phrases = ["the person next to the dog", "dog", "the person without a hat, on the right", "person"]
    split = split_prompts([TextPrompt(phrase) for phrase in phrases])
    assert [prompt.name for prompt in split.asked] == ["person", "dog", "person", "person", "dog", "hat"]
    chosen = split.choose(answers(split.asked))
    assert [boxes(found) for found in chosen[:3]] == [[PERSONS[1]], [(65.0, 30.0, 75.0, 45.0)], [PERSONS[2]]]
    assert boxes(chosen[3]) == PERSONS


def test_phrases_without_place_stay_the_same_objects() -> None:
    prompts = [
        TextPrompt(text) for text in ("cat", "left eye", "top hat", "the man who left", "right now", "der linke Mann")
    ]
    split = split_prompts(prompts)
    assert all(asked is prompt for asked, prompt in zip(split.asked, prompts, strict=True))
    founds = answers(split.asked)
    assert all(chosen is found for chosen, found in zip(split.choose(founds), founds, strict=True))


@pytest.mark.parametrize(
    ("phrase", "place", "chosen"),
    [
        ("the person on the left", "auto", 0), ("the person on the left", "viewer", 0),
        ("the person on the left", "subject", 2), ("the person on the viewer's left", "subject", 0),
        ("the person on the subject's left", "auto", 2),
    ],
)  # fmt: skip
def test_whose_left(phrase: str, place: str, chosen: int) -> None:
    assert boxes(ask(phrase, place=place)[0]) == [PERSONS[chosen]]


def test_parts_with_a_side_of_their_own() -> None:
    assert ask("left eye")[0].area == 0  # the fake method knows no such name
    assert boxes(ask("left eye", place="viewer")[0]) == [(10.0, 10.0, 16.0, 14.0)]
    assert ask("the person on the left", place="off")[0].area == 0


def test_a_wrong_place_is_one_clear_error() -> None:
    with pytest.raises(PromptError, match=r"place='mine'.*'auto', 'viewer', 'subject', 'off'"):
        split_prompts([TextPrompt("cat")], "mine")


@pytest.mark.parametrize(
    "phrase",
    ["left", "the one on the left", "to the right", " ".join(["the person on the left of the dog and"] * 25),
     " ".join(["cup next to"] * 150), "左边的人", "the the the", "on", "second", "next to"],
)  # fmt: skip
def test_odd_phrases_are_answered(phrase: str) -> None:
    assert len(ask(phrase)) == 1


def test_nothing_one_and_absent_things() -> None:
    assert ask("the unicorn on the left")[0].area == 0
    assert "nothing to choose from" in ask("the unicorn on the left")[0].explain()
    assert boxes(ask("the dog on the left")[0]) == [(65.0, 30.0, 75.0, 45.0)]
    lost = ask("the person next to the unicorn")[0]
    assert len(lost.instances) == 1
    assert "'unicorn' not found, left out" in lost.explain()


def test_one_region_of_two_separate_parts_is_taken_apart_where_two_are_presumed() -> None:
    split = split_prompts([TextPrompt("the person on the right"), TextPrompt("person")])
    both = Region(union([mask(box) for box in BOXES["person"][:2]]), 0.8)
    founds = [replace(found, regions=(both,)) for found in answers(split.asked)]
    chosen, whole = split.choose(founds)
    assert boxes(chosen) == [PERSONS[1]]
    assert "taken apart into connected parts: 2" in chosen.explain()
    assert boxes(whole) == [(5.0, 5.0, 62.0, 45.0)]


def test_negatives_of_a_prompt_stay() -> None:
    split = split_prompts([TextPrompt("the person on the left", negatives=("statue",))])
    assert split.asked == (TextPrompt("person", negatives=("statue",)),)


def test_the_pronoun_stands_for_the_name() -> None:
    split = split_prompts([TextPrompt("the person next to the one on the right")])
    assert [prompt.name for prompt in split.asked] == ["person", "person"]
    assert boxes(split.choose(answers(split.asked))[0]) == [PERSONS[1]]


def test_regions_below_half_of_the_best_score_are_no_candidates() -> None:
    split = split_prompts([TextPrompt("the person on the left")])
    found = answers(split.asked)[0]
    assert found.regions is not None
    weak = replace(found, regions=(replace(found.regions[0], score=0.1), *found.regions[1:]))
    assert boxes(split.choose([weak])[0]) == [PERSONS[1]]
