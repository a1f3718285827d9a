"""Words of place for any method that finds instances: prompts are split before a call, instances chosen after it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wordmask.components.place import lexicon
from wordmask.components.place.expression import SUBJECT, Expression, Side
from wordmask.components.place.parser import parse
from wordmask.components.place.selection import select
from wordmask.errors import PromptError, quote, sentence
from wordmask.prompts import Prompt, TextPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.results import Found

PLACES = ("auto", "viewer", "subject", "off")
"""Whose left and right are meant, see `split_prompts`."""
_WORD = re.compile(r"[^\W\d_]+|\d+(?:st|nd|rd|th)")
_TRIGGERS = (
    lexicon.SIDE_WORDS.keys()
    | lexicon.SUPERLATIVES.keys()
    | {phrase.split()[0] for phrase in lexicon.RELATION_PHRASES}
    | lexicon.ORDINALS.keys()
    | lexicon.SPELLINGS.keys()
)
_PART_SIDE = re.compile(r"\b(left|right)\b ?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Placed:
    """A phrase with words of place.

    Attributes:
        prompt: What the user asked.
        expression: What it says, with left and right of the viewer.
        asked: Position of its name among the prompts that the method is asked.
        related: The same for the other things that it relates to.
    """

    prompt: TextPrompt
    expression: Expression
    asked: int
    related: dict[Expression, Placed]


@dataclass(frozen=True, eq=False)
class PlacedPrompts:
    """The prompts of a call, split.

    Attributes:
        given: The user's prompts.
        asked: What the method is asked: first one for each given prompt, then those of related things.
        placed: For each given prompt what it says about place; None where it says nothing.
    """

    given: tuple[Prompt, ...]
    asked: tuple[Prompt, ...]
    placed: tuple[Placed | None, ...]

    @property
    def named(self) -> tuple[int, ...]:
        """Positions in `asked` of the names that belong to phrases with words of place, and of related things."""
        return tuple(i for i in range(len(self.asked)) if i >= len(self.given) or self.placed[i] is not None)

    def choose(self, founds: Sequence[Found]) -> list[Found]:
        """Return one result for each given prompt, with the instances that its words of place mean.

        Args:
            founds: The method's results for `asked`.
        """
        return [
            founds[index] if placed is None else _choose(placed, founds) for index, placed in enumerate(self.placed)
        ]


def split_prompts(prompts: Sequence[Prompt], place: str = "auto") -> PlacedPrompts:
    """Split phrases with words of place into what names and what places; all other prompts stay the same objects.

    Args:
        prompts: The user's prompts.
        place: Whose left and right are meant. `"auto"`: the viewer's, but for phrases that say otherwise ("on his
            left"), and parts with a side of their own ("left eye") stay names. `"viewer"`: the viewer's; "left eye" is
            the eye on the left of the image. `"subject"`: that of subjects who face the camera, so that "the man on
            the left" is on the right of the image. `"off"`: phrases are not read at all.

    Raises:
        PromptError: If `place` is none of these.
    """
    given = tuple(prompts)
    check_place(place)
    if place == "off":
        return PlacedPrompts(given, given, (None,) * len(given))
    expressions = [read(prompt, place) if isinstance(prompt, TextPrompt) else None for prompt in given]
    asked: list[Any] = [
        TextPrompt(expression.name, negatives=prompt.negatives)
        if isinstance(prompt, TextPrompt) and expression is not None
        else prompt
        for prompt, expression in zip(given, expressions, strict=True)
    ]
    placed = tuple(
        None if expression is None else _placed(prompt, expression, index, asked)
        for index, (prompt, expression) in enumerate(zip(given, expressions, strict=True))
    )
    return PlacedPrompts(given, tuple(asked), placed)


def names_as_given(segmenter: object) -> dict[str, Any]:
    """Return the options of a call whose phrases are a data set's names, in which words of place are not read.

    Args:
        segmenter: Any segmenter; one that does not take `place` needs no option.
    """
    return {"place": "off"} if hasattr(segmenter, "understands_place") else {}


def check_place(place: object) -> None:
    """Check the argument `place` of a call.

    Raises:
        PromptError: If it is none of `PLACES`.
    """
    if place not in PLACES:
        known = ", ".join(map(repr, PLACES))
        raise PromptError(sentence(f"place={quote(place)}", f"one of {known}", "leave it out for 'auto'"))


def read(prompt: TextPrompt, place: str = "auto") -> Expression | None:
    """Return what a phrase says about place, in the viewer's left and right; None where it says nothing to apply.

    Phrases that name nothing ("left", "the one on the right") are asked as they are.
    """
    if not _TRIGGERS & set(_WORD.findall(prompt.text.lower())):
        return None
    expression = parse(prompt.text)
    if place == "viewer" and expression.side_of_name:
        expression = _without_side(expression)
    if not expression.constraints or not expression.name:
        return None
    frame = place if place in ("viewer", "subject") and expression.frame is None else expression.frame
    return expression.viewed_by_subject() if frame == SUBJECT else expression


def _without_side(expression: Expression) -> Expression:
    """Turn "left eye" into an eye on the left."""
    assert expression.side_of_name is not None
    name = " ".join(_PART_SIDE.sub("", expression.name, count=1).split())
    return replace(expression, name=name, constraints=(Side(expression.side_of_name), *expression.constraints))


def _placed(prompt: Any, expression: Expression, index: int, asked: list[Any]) -> Placed:
    """Add the prompts of related things to those that are asked."""
    related: dict[Expression, Placed] = {}
    for thing in expression.related:
        name = thing.name or expression.name  # "the cup next to the one on the left"
        asked.append(TextPrompt(name))
        related[thing] = _placed(asked[-1], replace(thing, name=name), len(asked) - 1, asked)
    return Placed(prompt, expression, index, related)


def _choose(placed: Placed, founds: Sequence[Found]) -> Found:
    related = {thing: _choose(other, founds) for thing, other in placed.related.items()}
    found = founds[placed.asked]
    named = replace(found, prompt=placed.prompt)
    return select(named, placed.expression, related) if placed.expression.constraints else named
