"""Swap "left" and "right" in a phrase, for an image that is mirrored.

The one rule of the project: whoever mirrors an image swaps the words of its phrases by `swap_left_right`, in training,
in evaluation and in the text encoder's data.

| swapped | not swapped |
|---|---|
| whole words: "left eye", "left_mirror" | other words: "bright", "upright", "leftover", "rights" |
| compounds: "leftmost", "left-hand", "rightwards", "bottom-left" | "right-angled", "right-click", "right side up" |
| "right-handed": who is mirrored uses the other hand | "all right" |
| "just right of the dog" | "right" as an adverb: "right behind", "right next to", "right now" |
| "the bag left of the door" | "left" as a verb: "left open", "left alone", "has left" |

An adverb or verb is told by the words around it; after "the", "his", "on", "far" and the like the word is always a side
("on the right next to the tree"). What stays unclear is swapped: a side that is not swapped teaches the wrong side, a
verb that is swapped only reads oddly.
"""

from __future__ import annotations

import re

__all__ = ["swap_left_right"]

_COMPOUND = r"(?:[ -]?most|[ -]?hand(?:ed|er|ers)?|[ -]?foot(?:ed)?|[ -]?wards?|side)"
_SIDE = re.compile(rf"(?<![A-Za-z])(left|right)(?={_COMPOUND}?(?![A-Za-z]))", re.IGNORECASE)
_BEFORE = r"(?:the|a|its?|his|her|their|my|your|our|on|to|at|from|far|top|bottom|upper|lower|front|back|rear|middle)"
_ALWAYS_SIDE = re.compile(rf"(?<![A-Za-z]){_BEFORE}[\s_-]+$", re.IGNORECASE)
_ADVERB = re.compile(
    r"right[\s-]+(?:next|now|behind|beside|above|below|beneath|under|underneath|outside|inside|through|away|after|"
    r"before|beyond|in[\s-]+front|in[\s-]+the[\s-]+(?:middle|cent(?:er|re)))(?![A-Za-z])",
    re.IGNORECASE,
)
_ALL_RIGHT = re.compile(r"(?<![A-Za-z])all[\s-]+$", re.IGNORECASE)
_PARTICIPLE = re.compile(
    r"left[\s-]+(?:open|out|overs?|alone|behind|empty|unattended|unfinished)(?![A-Za-z])", re.IGNORECASE
)
_HAS_LEFT = re.compile(r"(?<![A-Za-z])(?:has|have|had|was|were|been|being)\s+$", re.IGNORECASE)
_LEFT_OF = re.compile(r"left[\s-]+(?:of|side|hand|most)(?![A-Za-z])", re.IGNORECASE)
_FIXED = re.compile(r"right-(?:click|angles?|angled)(?![A-Za-z])|right[\s-]+side[\s-]+up(?![A-Za-z])", re.IGNORECASE)


def swap_left_right(phrase: str) -> str:
    """Return a phrase as it reads for the mirrored image; upper and lower case are kept.

    Swapping twice gives the phrase back, but for verbs that were taken for sides.
    """
    return _SIDE.sub(_swapped, phrase)


def _swapped(found: re.Match[str]) -> str:
    word = found.group()
    if not _is_side(found.string, found.start()):
        return word
    other = "right" if word.lower() == "left" else "left"
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _is_side(phrase: str, start: int) -> bool:
    """Return whether the word "left" or "right" at `start` names a side."""
    before = phrase[:start]
    if _FIXED.match(phrase, start) or _ALL_RIGHT.search(before):
        return False
    if _ALWAYS_SIDE.search(before):
        return True
    if _ADVERB.match(phrase, start) or _PARTICIPLE.match(phrase, start):
        return False
    return not (_HAS_LEFT.search(before) and phrase[start : start + 4].lower() == "left") or bool(
        _LEFT_OF.match(phrase, start)
    )
