"""The rule that swaps left and right for mirrored images, as a table."""

from __future__ import annotations

import pytest

from wordmask.data.sampling.left_right import swap_left_right

SWAPPED = [
    ("left eye", "right eye"),
    ("the person's right eyebrow", "the person's left eyebrow"),
    ("back left door", "back right door"),
    ("eye, left", "eye, right"),
    ("the one on the right", "the one on the left"),
    ("guy left", "guy right"),
    ("Left hand of the RIGHT man", "Right hand of the LEFT man"),
    ("leftmost star", "rightmost star"),
    ("left-most cup", "right-most cup"),
    ("the left-hand side", "the right-hand side"),
    ("righthand drawer", "lefthand drawer"),
    ("a left-handed player", "a right-handed player"),
    ("a right-footed kick", "a left-footed kick"),
    ("moving rightwards", "moving leftwards"),
    ("bottom-left corner", "bottom-right corner"),
    ("left_mirror", "right_mirror"),
    ("lower_right", "lower_left"),
    ("the circle left of the square", "the circle right of the square"),
    ("a chair that is left of the table", "a chair that is right of the table"),
    ("the bag was left of the door", "the bag was right of the door"),
    ("on the right next to the tree", "on the left next to the tree"),
    ("the man on the left behind the car", "the man on the right behind the car"),
    ("his right hand", "his left hand"),
    ("far right", "far left"),
    ("left wing of the plane", "right wing of the plane"),
    ("a left turn sign", "a right turn sign"),
    ("left?", "right?"),
    ("guy right by the tree", "guy left by the tree"),
    ("woman right in white", "woman left in white"),
    ("from left to right", "from right to left"),
]
KEPT = [
    "bright light",
    "a brightly lit street",
    "completely upright",
    "a copyright sign",
    "leftover pizza",
    "left-over pizza",
    "a banner for human rights",
    "outright",
    "a playwright",
    "a right-angled triangle",
    "right-click menu",
    "a cup right side up",
    "boat right next to the pier",
    "a kite right above the beach",
    "a dog right behind the fence",
    "right in front of the house",
    "right in the middle",
    "all right",
    "a door left open",
    "bananas left out to dry",
    "a bag that was left on the bench",
    "a train that has left",
    "dog",
    "",
]


@pytest.mark.parametrize(("phrase", "mirrored"), SWAPPED)
def test_sides_are_swapped_and_swapped_back(phrase: str, mirrored: str) -> None:
    assert swap_left_right(phrase) == mirrored
    assert swap_left_right(mirrored) == phrase


@pytest.mark.parametrize("phrase", KEPT)
def test_other_words_are_kept(phrase: str) -> None:
    assert swap_left_right(phrase) == phrase


def test_the_table_has_both_kinds() -> None:
    print(f"{len(SWAPPED)} swapped, {len(KEPT)} kept")
    assert min(len(SWAPPED), len(KEPT)) >= 20
