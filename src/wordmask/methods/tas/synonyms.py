"""Whether two nouns name nearly the same thing, so that one is no negative of the other."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from wordmask.components.place.wordnet import WordNet, find_wordnet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["installed_wordnet", "near_synonyms", "singular"]


def near_synonyms(first: str, second: str, *, parity: bool = False, wordnet: WordNet | None = None) -> bool:
    """Whether two nouns are near-synonyms, by WordNet or, without one, by spelling: the same word in any number.

    Args:
        first: A noun; "" is no synonym of anything.
        second: Another.
        parity: Whether to ask as the authors' code does (`WordNet.near_synonym`); without WordNet it changes nothing.
        wordnet: None where none is installed.
    """
    if not first or not second:
        return False
    if wordnet is not None:
        return wordnet.near_synonym(first, second, parity=parity)
    return singular(first) == singular(second)


def installed_wordnet() -> WordNet | None:
    """Return the WordNet of this machine, None without one; it is read once."""
    place = find_wordnet()
    return None if place is None else _read(place)


@lru_cache(maxsize=1)
def _read(place: Path) -> WordNet:
    return WordNet.read(place)


_IRREGULAR = {
    "men": "man", "women": "woman", "people": "person", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "leaves": "leaf", "knives": "knife", "shelves": "shelf", "wolves": "wolf",
}  # fmt: skip
_AS_THEY_ARE = {"glasses", "scissors", "jeans", "pants", "bus", "grass", "glass", "sheep", "shorts", "gas", "lens"}


def singular(noun: str) -> str:
    """Return the singular of an English noun, in lower case, by spelling alone."""
    word = noun.casefold().strip()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _AS_THEY_ARE or not word.endswith("s") or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes", "oes")):
        return word[:-2]
    return word[:-1]
