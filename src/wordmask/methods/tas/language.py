"""Noun phrases of captions, with their articles, by rules."""

from __future__ import annotations

import re

__all__ = ["noun_phrases"]

BREAKS = frozenset(
    "in on at of with by to from near under over behind beside between through into onto and or while that which who "
    "is are was were has have having wearing holding sitting standing walking riding playing lying looking eating "
    "flying driving parked next front top there it they its their this these up down out off across along around for "
    "as very".split()
)
"""Words that end a noun phrase in a caption."""
ARTICLES = frozenset("a an the some two three four five several many his her".split())


def noun_phrases(caption: str) -> tuple[str, ...]:
    """Return the noun phrases of a caption, with articles, each once: ("a man", "a red shirt").

    Words between articles, prepositions, conjunctions and common verb forms are taken for one noun phrase. A word in
    -ing after the first noun ends a phrase, too.
    """
    phrases: list[list[str]] = [[]]
    for word in re.findall(r"[a-z0-9'-]+|[,.;:!?]", caption.casefold()):
        nouns = [one for one in phrases[-1] if one not in ARTICLES]
        if word in BREAKS or not word[0].isalnum() or (nouns and word.endswith("ing") and len(word) > 5):
            phrases.append([])
        elif word in ARTICLES and phrases[-1]:
            phrases.append([word])
        else:
            phrases[-1].append(word)
    kept = [" ".join(one) for one in phrases if any(word not in ARTICLES for word in one)]
    return tuple(dict.fromkeys(kept))
