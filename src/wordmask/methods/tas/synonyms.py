"""Whether two phrases name nearly the same thing, so that one is no negative of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lexicon", "lemma", "related", "share_three_senses"]

SHARED = 3
"""Senses that two nouns must share to be synonyms by the authors' rule."""


class Lexicon(Protocol):
    """WordNet, or what stands in its place."""

    def senses(self, word: str) -> Sequence[str]:
        """Return identifiers of a word's senses, nouns and others; () for an unknown word."""
        ...

    def hypernyms(self, sense: str) -> Sequence[str]:
        """Return identifiers of the senses directly above a sense."""
        ...


def share_three_senses(first: str | None, second: str | None, lexicon: Lexicon) -> bool:
    """Whether two nouns are synonyms by the rule of the authors' code: at least three common senses.

    A noun with fewer than three senses is therefore no synonym even of itself. No noun on either side: no synonyms.

    Args:
        first: First noun of one phrase.
        second: First noun of the other.
        lexicon: WordNet 3.0 in the authors' code.
    """
    if first is None or second is None:
        return False
    return len(set(lexicon.senses(first)) & set(lexicon.senses(second))) >= SHARED


def related(first: str | None, second: str | None, lexicon: Lexicon | None = None) -> bool:
    """Whether two nouns name nearly the same: the same word, a common sense, or one sense directly above the other's.

    Args:
        first: Head noun of one phrase.
        second: Head noun of the other.
        lexicon: None where no WordNet is installed: then only the same word counts, in singular or plural.
    """
    if first is None or second is None:
        return False
    one, other = lemma(first), lemma(second)
    if one == other:
        return True
    if lexicon is None:
        return False
    senses, others = set(lexicon.senses(one)), set(lexicon.senses(other))
    above, others_above = ({s for sense in side for s in lexicon.hypernyms(sense)} for side in (senses, others))
    return bool(senses & others or senses & others_above or others & above)


_IRREGULAR = {
    "men": "man", "women": "woman", "people": "person", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "leaves": "leaf", "knives": "knife", "shelves": "shelf", "wolves": "wolf",
}  # fmt: skip
_AS_THEY_ARE = {"glasses", "scissors", "jeans", "pants", "bus", "grass", "glass", "sheep", "shorts", "gas", "lens"}


def lemma(noun: str) -> str:
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
