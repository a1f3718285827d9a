"""Phrases as users type them: misspelt, in capitals, by people who think in another language."""

from __future__ import annotations

import pytest

from wordmask.components.place import parse
from wordmask.components.place.prompts import read
from wordmask.prompts import TextPrompt

UNDERSTOOD = """
the leftmost person | person [#1 from left]
person on the far right | person [right]
the person on the left-hand side | person [left]
the person on the left hand side of the picture | person [left of image]
2nd person from left | person [#2 from left]
person #2 from left | person [#2 from left]
the man number 3 from the right | man [#3 from right]
the man in the middle of the three | man [middle]
the left cat of the two | cat [left]
the left of two cats | cats [left]
the right of the two dogs | dogs [right]
the bigger of the two dogs | dogs [largest]
the dog behind the bench | dog [behind(bench)]
all people on the left | people* [left]
the two cars on the right | 2 cars [right]
THE PERSON ON THE LEFT | PERSON [left]
person left | person [left]
most left person | person [left]
the left most person | person [left]
person at left side | person [left]
person on the rigth | person [right]
the persn on teh left | persn [left]
the cat on the leftt | cat [left]
the dog in the midle | dog [middle]
the cat that's on the left | cat [left]
the man who's on the right | man [right]
the man left from the woman | man [left_of(woman)]
the car left to the tree | car [left_of(tree)]
second last person from the left | person [#-2 from left]
second to last car from the left | car [#-2 from left]
the window in the bottom row | window [bottom]
the second window in the top row | window [#2 from left; top]
the outermost left person | person [left]
the person on the extreme right | person [right]
left-top window | window [left; top]
dog (left) | dog [left]
"dog on the left" | dog [left]
the guy to the right, not the left | guy [right; not left]
one of the cats on the left | cats [left]
the coffee cup on the left of astronaut | coffee cup [left_of(astronaut)]
"""


@pytest.mark.parametrize("row", UNDERSTOOD.strip().splitlines())
def test_what_a_user_means(row: str) -> None:
    phrase, meaning = row.split(" | ")
    assert str(read(TextPrompt(phrase))) == meaning


@pytest.mark.parametrize(
    "phrase",
    ["both cats", "the other cat", "left-handed man", "l'homme à gauche", "der Hund links", "2nd from left",
     "the left one", "the man with the left hand up", "window of the second row house"],
)  # fmt: skip
def test_what_is_asked_as_it_is(phrase: str) -> None:
    assert read(TextPrompt(phrase)) is None


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [("the left cat of the two", 1), ("the two cars on the right", 2), ("people on left", None),
     ("the left of two cats", 1)],
)  # fmt: skip
def test_how_many_are_meant(phrase: str, meant: int | None) -> None:
    assert parse(phrase).meant == meant
