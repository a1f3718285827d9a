"""Names inside phrases: those that contain words of place, heads and noun phrases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.components.place import lexicon
from wordmask.components.place.words import Words, is_end

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODIFIERS = frozenset("left right upper lower top bottom front back rear middle".split())
_SUBJECTS = frozenset("who that which has have had he she it they i we just already was been be having".split())
_AFTER_LEFT = frozenset("behind alone open over out unattended off untouched blank empty".split())
_MOVING = frozenset(
    "turn turns turning turned look looks looking looked face faces facing faced point points pointing pointed go "
    "going heading headed heads lean leans leaning leaned swing swinging move moves moving bend bending all "
    "aimed directed angled swinging jumping running walking driving steering".split()
)
_AFTER_RIGHT = frozenset("now there here away after before where when".split())
_INTENSIFIED = frozenset("next behind in above below beside by at on under underneath against beneath near".split())


@dataclass(frozen=True)
class KeptName:
    """Words that name although one of them is a word of place.

    Attributes:
        length: How many words.
        side: "left" or "right" where that is the side of a part ("left eye"), else None.
    """

    length: int
    side: str | None = None


def name_at(words: Words, place: int, named: Sequence[str]) -> KeptName | None:
    """Return the name with a word of place, or the word of place used as a verb or adverb, that begins at a position.

    Args:
        words: The phrase.
        place: The position.
        named: Words of the name before it, without articles.
    """
    fixed = next((name for name in lexicon.FIXED_NAMES if words.matches(place, name)), None)
    if fixed:
        return KeptName(len(fixed.split()))
    word = words.at(place)
    if word not in lexicon.SIDE_WORDS and word not in _MOVING:
        return None
    return _verb(words, place, named) or _part(words, place) or _part_of(words, place, named)


def _verb(words: Words, place: int, named: Sequence[str]) -> KeptName | None:
    """Read "left" as a verb, "right" as an adverb, and directions: "who left", "right now", "facing left"."""
    word, before, after = words.at(place), words.at(place - 1), words.at(place + 1)
    if word in _MOVING:
        step = place + 1
        while words.at(step) in ("to", "towards", "toward", "the", "his", "her", "their", "its"):
            step += 1
        return KeptName(step + 1 - place) if words.at(step) in ("left", "right") else None
    if word == "left" and (before in _SUBJECTS or after in _AFTER_LEFT):
        return KeptName(1)
    if word == "left" and named and after in ("on", "in", "at", "by") and before not in ("on", "the", "far", "at"):
        return KeptName(1)
    if word == "right" and after in _AFTER_RIGHT:
        return KeptName(2)
    if word == "right" and after in _INTENSIFIED and named and before not in ("the", "on", "far", "at", "to"):
        return KeptName(1)
    if word in ("back", "front") and before in ("his", "her", "their", "its") and is_end(words, place + 1):
        return KeptName(1)
    return None


def _part(words: Words, place: int) -> KeptName | None:
    """A part with its own side: "left eye", "front left door", "upper lip"."""
    end = place
    while words.at(end) in _MODIFIERS:
        end += 1
    said, noun = words.low[place:end], words.at(end)
    if not said or not noun or (noun == "hand" and words.at(end + 1) in lexicon.SIDE_NOUNS):
        return None
    side = next((word for word in said if word in ("left", "right")), None)
    ended = any(word in ("front", "back", "rear") for word in said)
    own = (
        (side is not None and (noun in lexicon.BODY_PARTS or noun in lexicon.CAR_PARTS))
        or (ended and noun in lexicon.ENDED_PARTS)
        or (any(word in ("upper", "lower", "top", "bottom") for word in said) and noun in lexicon.UPPER_PARTS)
    )
    return KeptName(end + 1 - place, side) if own else None


def _part_of(words: Words, place: int, named: Sequence[str]) -> KeptName | None:
    """A part named by its side, "the bottom of the cup", "the left side of his face": the whole phrase is a name."""
    if named or words.at(place) in lexicon.EXTREMES:
        return None
    end = place + 1
    while words.at(end) in lexicon.SIDE_WORDS or words.at(end) in lexicon.SIDE_NOUNS or words.at(end) == "hand":
        end += 1
    if words.at(end) != "of":
        return None
    thing = end + 1
    while words.at(thing) in lexicon.DETERMINERS:
        thing += 1
    of_image = words.at(thing) in lexicon.IMAGE_NOUNS or words.at(thing) in lexicon.NUMBERS or not words.at(thing)
    return None if of_image else KeptName(len(words) - place)


def head_of(name: Sequence[str]) -> str:
    """Return the head noun of a name: the last word before a preposition, a verb or a comma."""
    phrase = _first(name)
    return phrase[-1] if phrase else ""


def noun_phrases(name: Sequence[str]) -> tuple[str, ...]:
    """Return the noun phrases of a name, without articles: "man", "red shirt" of "man in the red shirt"."""
    found: list[str] = []
    words = Words(tuple(name), tuple(name))
    current: list[str] = []
    clause = False  # inside "who left", up to its preposition or object
    for place, word in enumerate(name):
        clause = word in ("who", "that", "which") or (
            clause and word not in lexicon.PREPOSITIONS and word not in lexicon.DETERMINERS
        )
        if clause:
            continue
        if _ends(words, place):
            found.append(" ".join(current))
            current = []
        elif word not in lexicon.DETERMINERS:
            current.append(word)
    found.append(" ".join(current))
    return tuple(dict.fromkeys(phrase for phrase in found if phrase))


def _first(name: Sequence[str]) -> list[str]:
    words = Words(tuple(name), tuple(name))
    phrase: list[str] = []
    for place, word in enumerate(name):
        if phrase and (_ends(words, place) or (word == "left" and words.at(place + 1) in _AFTER_LEFT)):
            break
        if _ends(words, place) and not word.endswith("ing") and word not in lexicon.DETERMINERS:
            break
        if word not in lexicon.DETERMINERS:
            phrase.append(word)
    return phrase


def _ends(words: Words, place: int) -> bool:
    """Whether a noun phrase ends before a position; "and" between colours does not end it."""
    word = words.at(place)
    if word == "and" and words.at(place - 1) in lexicon.COLOURS and words.at(place + 1) in lexicon.COLOURS:
        return False
    return is_end(words, place) or word in lexicon.LINKS
