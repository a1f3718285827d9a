"""Phrases as prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wordmask.errors import PromptError, quote, sentence
from wordmask.prompts.phrases import clean_phrase, fold_phrase, strip_phrase

MAX_CHARACTERS = 2000
"""Longest phrase accepted. Text encoders read far less (CLIP: 77 tokens)."""


@dataclass(frozen=True)
class TextPrompt:
    """A phrase that names what to segment, and optionally negative phrases.

    Two prompts are equal if the model reads the same.

    Attributes:
        text: The phrase, 1 to 2000 characters, as the model reads it: without quotes, brackets, emoji, question marks
            and zero-width characters (`prompts.phrases.clean_phrase`).
        negatives: Phrases it must not be confused with, cleaned likewise: a pixel stays in the mask only where `text`
            scores higher than every negative. `TextPrompt("eye", negatives=("eyebrow",))`
        name: Name of the result; by default the phrase as it was given, without the blanks around it.

    Raises:
        PromptError: If a phrase is not a string, is blank, is too long or is not valid Unicode.
    """

    text: str
    negatives: tuple[str, ...] = field(default=(), kw_only=True)
    name: str = field(default="", kw_only=True, compare=False)

    def __post_init__(self) -> None:
        given = checked_phrase(self.text)
        object.__setattr__(self, "name", checked_phrase(self.name) if self.name != "" else given)
        object.__setattr__(self, "text", clean_phrase(given))
        object.__setattr__(self, "negatives", _checked_negatives(self.negatives))

    @property
    def question(self) -> tuple[str, ...]:
        """What is asked: equal for prompts that differ in case, blanks and marks alone."""
        return tuple(fold_phrase(phrase) for phrase in (self.text, *self.negatives))


def checked_phrase(text: object) -> str:
    """Return `text` without blanks around it, or raise PromptError if it is empty, too long or undecodable."""
    if not isinstance(text, str):
        got = f"a prompt of type {type(text).__name__}"
        raise PromptError(sentence(got, "a phrase", "pass a string such as 'hair'"))
    phrase = strip_phrase(str(text))
    if not phrase:
        raise PromptError(sentence("a blank prompt", "a phrase", "name what to segment, such as 'left eye'"))
    if len(phrase) > MAX_CHARACTERS:
        got = f"a prompt of {len(phrase)} characters ({quote(phrase, limit=40)})"
        raise PromptError(sentence(got, f"at most {MAX_CHARACTERS}", "shorten it to a phrase or a sentence"))
    if any("\ud800" <= character <= "\udfff" for character in phrase):
        raise PromptError(sentence(f"undecodable text {quote(phrase)}", "valid Unicode", "pass the phrase as UTF-8"))
    return phrase


def _checked_negatives(negatives: object) -> tuple[str, ...]:
    if isinstance(negatives, str) or not isinstance(negatives, Iterable):
        got = f"negatives of type {type(negatives).__name__}"
        raise PromptError(sentence(got, "a tuple of phrases", "write negatives=('eyebrow',) with the comma"))
    return tuple(clean_phrase(checked_phrase(negative)) for negative in negatives)
