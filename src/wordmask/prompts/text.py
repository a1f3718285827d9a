"""Phrases as prompts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from wordmask.errors import PromptError, quote, sentence

MAX_CHARACTERS = 2000
"""Longest phrase accepted. Text encoders read far less (CLIP: 77 tokens)."""


@dataclass(frozen=True)
class TextPrompt:
    """A phrase that names what to segment, and optionally negative phrases.

    Attributes:
        text: The phrase, 1 to 2000 characters; blanks around it are removed.
        negatives: Phrases it must not be confused with: a pixel stays in the mask only where `text` scores higher
            than every negative. `TextPrompt("eye", negatives=("eyebrow",))`

    Raises:
        PromptError: If a phrase is not a string, is blank, is too long or is not valid Unicode.
    """

    text: str
    negatives: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", checked_phrase(self.text))
        object.__setattr__(self, "negatives", _checked_negatives(self.negatives))

    @property
    def name(self) -> str:
        """Name of the result: the phrase."""
        return self.text


def checked_phrase(text: object) -> str:
    """Return `text` without the blanks around it, or raise PromptError if it is empty, too long or undecodable."""
    if not isinstance(text, str):
        got = f"a prompt of type {type(text).__name__}"
        raise PromptError(sentence(got, "a phrase", "pass a string such as 'hair'"))
    phrase = str(text).strip()
    if not any(_is_visible(character) for character in phrase):
        raise PromptError(sentence("a blank prompt", "a phrase", "name what to segment, such as 'left eye'"))
    if len(phrase) > MAX_CHARACTERS:
        got = f"a prompt of {len(phrase)} characters ({quote(phrase, limit=40)})"
        raise PromptError(sentence(got, f"at most {MAX_CHARACTERS}", "shorten it to a phrase or a sentence"))
    if any("\ud800" <= character <= "\udfff" for character in phrase):
        raise PromptError(sentence(f"undecodable text {quote(phrase)}", "valid Unicode", "pass the phrase as UTF-8"))
    return phrase


def _is_visible(character: str) -> bool:
    """Whether a character leaves a mark: not a blank, a control or a zero-width format character."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Zs", "Zl", "Zp"}


def _checked_negatives(negatives: object) -> tuple[str, ...]:
    if isinstance(negatives, str) or not isinstance(negatives, Iterable):
        got = f"negatives of type {type(negatives).__name__}"
        raise PromptError(sentence(got, "a tuple of phrases", "write negatives=('eyebrow',) with the comma"))
    return tuple(checked_phrase(negative) for negative in negatives)
