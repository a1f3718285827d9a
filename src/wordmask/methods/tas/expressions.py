"""Referring expressions: what is named, and which noun phrases are near-synonyms of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.methods.tas.synonyms import related

if TYPE_CHECKING:
    from wordmask.prompts import TextPrompt

__all__ = ["Expression", "is_near_synonym", "read_expression"]


@dataclass(frozen=True, eq=False)
class Expression:
    """A referring expression, read.

    Attributes:
        prompt: As it was asked.
        sentence: In lower case.
        target: The phrase that names what is meant; the whole sentence where it cannot be told.
        noun: Its head noun; None where there is none.
    """

    prompt: TextPrompt
    sentence: str
    target: str
    noun: str | None


def read_expression(prompt: TextPrompt) -> Expression:
    """Read a prompt; a sentence that cannot be parsed is its own target."""
    sentence = prompt.text.casefold()
    words = sentence.rstrip(" .").split()
    return Expression(prompt, sentence, sentence, words[-1] if words else None)


def is_near_synonym(phrase: str, expression: Expression, rule: str) -> bool:
    """Whether a noun phrase of the image's caption names nearly what an expression means.

    Args:
        phrase: The noun phrase.
        expression: What is meant.
        rule: "related" or "released" (`methods.tas.synonyms`).
    """
    words = phrase.split()
    return related(words[-1] if words else None, expression.noun)
