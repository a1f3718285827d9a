"""Referring expressions: what is named, what is said about place, and which noun phrases are near-synonyms of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.components.place import parse
from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed, presumed
from wordmask.components.place.names import head_of
from wordmask.components.place.prompts import read
from wordmask.methods.tas.synonyms import installed_wordnet, near_synonyms

if TYPE_CHECKING:
    from wordmask.components.place import Expression
    from wordmask.prompts import TextPrompt

__all__ = ["TEMPLATE", "Reading", "is_near_synonym", "read_prompt"]

TEMPLATE = "a photo of {}"
"""How negative noun phrases are asked; expressions are asked as they are."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A prompt, read.

    Attributes:
        prompt: As it was asked.
        sentence: In lower case.
        parsed: What is named, and what is said about place.
        place: Whether what is said about place chooses among the regions; otherwise the whole sentence names.
    """

    prompt: TextPrompt
    sentence: str
    parsed: Expression
    place: bool

    @property
    def target(self) -> str:
        """What regions are compared with: the name where words of place choose, otherwise the sentence; "" without."""
        return self.parsed.name if self.place else self.sentence

    @property
    def negatives(self) -> tuple[str, ...]:
        """What is excluded: the prompt's own negatives, or what the sentence excludes ("without a hat")."""
        return self.prompt.negatives or (self.parsed.negatives if self.place else ())

    @property
    def presumed(self) -> Presumed:
        """What is presumed of the instances of what is named: two where a side or an extreme is meant."""
        return presumed(self.parsed) if self.place else NOTHING_PRESUMED

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text whose vector is needed."""
        named = [self.target, *(thing.name for thing in _things(self.parsed))] if self.place else [self.target]
        return tuple(text for text in (*named, *map(TEMPLATE.format, self.negatives)) if text)


def read_prompt(prompt: TextPrompt, place: str = "auto") -> Reading:
    """Read a prompt.

    Args:
        prompt: A phrase or sentence of any kind; what the parser does not understand names.
        place: How words of place are read (`components.place.prompts.split_prompts`); "off": they name.
    """
    sentence = prompt.text.casefold()
    parsed = parse(prompt.text)
    if place == "off":
        return Reading(prompt, sentence, parsed, place=False)
    spoken = read(prompt, place)
    if spoken is not None:
        return Reading(prompt, sentence, spoken, place=True)
    return Reading(prompt, sentence, parsed, place=parsed.plural or bool(parsed.constraints and not parsed.name))


def is_near_synonym(phrase: str, reading: Reading, rule: str) -> bool:
    """Whether a noun phrase of the image's caption names nearly what an expression means.

    Args:
        phrase: The noun phrase.
        reading: The expression.
        rule: "related" or "released" (`methods.tas.synonyms`).
    """
    noun, parity = head_of(tuple(phrase.split())), rule == "released"
    return near_synonyms(noun, reading.parsed.head, parity=parity, wordnet=installed_wordnet())


def _things(expression: Expression) -> list[Expression]:
    """The related things of an expression, and theirs."""
    return [one for thing in expression.related for one in (thing, *_things(thing))]
