"""Cleaning of phrases: what the text encoder reads of what a user typed, and when two phrases are the same."""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import lru_cache

from wordmask.errors import WordmaskWarning, quote, sentence

__all__ = ["clean_phrase", "fold_phrase", "strip_phrase", "warn_of_truncation"]

_PLAIN = {ord(mark): "'" for mark in "‘’ʼ‛`´"} | {ord(mark): "-" for mark in "‐‑‒–—―"}
_EVERYWHERE = re.compile(r"[\"“”„‟«»‹›()\[\]{}<>|\\^~*#=_?!¿¡]+")
"""Marks that are no part of a phrase wherever they stand: quotes, brackets, marks of Markdown, question marks."""
_BLANK = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}


@lru_cache(maxsize=4096)
def clean_phrase(text: str) -> str:
    """Return what a text encoder reads of a phrase; ordinary phrases come back unchanged.

    Compatibility characters become plain (full-width letters, ligatures), zero-width characters go, blanks and
    underscores become single spaces, and these marks are removed: quotes, brackets, emoji and other symbols, question
    and exclamation marks everywhere; any punctuation at the beginning and the end, save a full stop at the end
    ("a photo of a cat."). A phrase of nothing but such marks stays as it is.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    words = " ".join("".join(map(_read_as, _EVERYWHERE.sub(" ", plain))).split())
    words = unicodedata.normalize("NFKC", words)  # again: what was removed stood between letters and their accents
    core = _without_ends(words)
    if not any(character.isalnum() for character in core):
        return strip_phrase(" ".join(_BLANK.sub(" ", text).split()))
    return f"{core}." if words.endswith(f"{core}.") else core


def fold_phrase(text: str) -> str:
    """Return the same string for phrases that ask the same: cleaned, case folded, without a full stop at the end."""
    clean = clean_phrase(text).casefold()
    return clean.rstrip(" .") or clean


def strip_phrase(text: str) -> str:
    """Return text without blanks, control characters and zero-width characters around it."""
    start, end = 0, len(text)
    while start < end and _is_invisible(text[start]):
        start += 1
    while end > start and _is_invisible(text[end - 1]):
        end -= 1
    return text[start:end]


def warn_of_truncation(text: str, *, tokens: int, limit: int) -> None:
    """Warn, once for each phrase, that a text encoder reads only the beginning of it.

    Args:
        text: The phrase.
        tokens: Its length in tokens.
        limit: Tokens that the encoder reads.
    """
    got = f"the phrase {quote(text, limit=60)} of {tokens} tokens"
    said = sentence(got, f"at most {limit}, which is all that the model reads", "shorten it; the end is ignored")
    warnings.warn(said, WordmaskWarning, stacklevel=2)


def _read_as(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cf" or "\ufe00" <= character <= "\ufe0f":  # zero-width characters, variation selectors
        return ""
    return " " if kind in ("So", "Sk", "Cc", "Co", "Cn", "Zs", "Zl", "Zp") else character


def _without_ends(words: str) -> str:
    """The text without punctuation, symbols and blanks at both ends."""
    inner = [place for place, character in enumerate(words) if unicodedata.category(character)[0] in "LNM"]
    return words[inner[0] : inner[-1] + 1] if inner else ""


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE
