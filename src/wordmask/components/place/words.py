"""Words of a phrase, with the tests that the parser makes on them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wordmask.components.place import lexicon

_TOKEN = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*['’]?|[,;:.]")
_NUMBERED = re.compile(r"(?<!\S)(?:#|(?:no\.?|number) ?)?(\d)(?= +from )", re.IGNORECASE)
_MOST = re.compile(r"^(left|right|top|bottom|upper|lower|front|rear|center|centre)-?most$")


@dataclass(frozen=True)
class Words:
    """A phrase as words.

    Attributes:
        given: The words as they were written.
        low: The same in lower case.
    """

    given: tuple[str, ...]
    low: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """Split a phrase; hyphens between words of place are blanks ("top-left"), commas are words."""
        given: list[str] = []
        for token in _TOKEN.findall(_NUMBERED.sub(_ordinal, text.replace("’", "'"))):
            given += _parts(token)
        return cls(tuple(given), tuple(word.lower() for word in given))

    def __len__(self) -> int:
        return len(self.low)

    def at(self, place: int) -> str:
        """Return the lower-case word at a position, "" outside."""
        return self.low[place] if 0 <= place < len(self.low) else ""

    def matches(self, place: int, phrase: str) -> bool:
        """Return whether a phrase of lower-case words begins at a position."""
        words = tuple(phrase.split())
        return self.low[place : place + len(words)] == words

    def slice(self, start: int, end: int) -> Words:
        """Return the words from `start` up to `end`."""
        return Words(self.given[start:end], self.low[start:end])

    @property
    def text(self) -> str:
        """The words as one phrase."""
        return re.sub(r" ([,;:.])", r"\1", " ".join(self.given)).replace(" 's", "'s")


def _ordinal(found: re.Match[str]) -> str:
    """Return 2nd for 2, #2 or number 2 before "from"."""
    return found[1] + {"1": "st", "2": "nd", "3": "rd"}.get(found[1], "th")


def _parts(token: str) -> list[str]:
    low = token.lower()
    if low in lexicon.SPELLINGS:
        return [lexicon.SPELLINGS[low]]
    if low in ("that's", "who's", "which's"):
        return [token[:-2], "is"]
    if "-" not in low:
        return [token]
    if _MOST.match(low):
        return [token.replace("-", "")]
    pieces = low.split("-")
    known = (lexicon.SIDE_WORDS, lexicon.ORDINALS, lexicon.SUPERLATIVES)
    if pieces[-1] in ("handed", "hander", "aged", "legged", "wing", "sided") or pieces[0] == "t":
        return [token]
    if pieces == ["close", "up"] or pieces[-1] == "up":
        return [token]
    return token.split("-") if any(piece in group for piece in pieces for group in known) else [token]


def is_plural(noun: str) -> bool:
    """Return whether a noun looks like a plural: "cups", "people", not "bus" or "scissors"."""
    low = noun.lower()
    if low in lexicon.PLURALS:
        return True
    return low.endswith("s") and len(low) > 3 and not low.endswith(("ss", "us")) and low not in lexicon.SINGULAR_IN_S


def is_end(words: Words, place: int) -> bool:
    """Return whether no noun can follow at a position: the end, a comma, a preposition, a verb in -ing."""
    word = words.at(place)
    if not word or word in ",;:." or word in lexicon.PREPOSITIONS or word in _ENDING:
        return True
    return word.endswith("ing") and word not in _NOUNS_IN_ING and len(word) > 5


_ENDING = frozenset(
    "who that which whose is are was were and or but next facing not closest nearest it as when while".split()
)
_NOUNS_IN_ING = frozenset(
    "shopping parking dining living swimming building ceiling painting clothing earring railing wing ring king string "
    "swing".split()
)


def end_of_group(words: Words, place: int) -> int | None:
    """Return the position behind "of the three", "of them", "of the two"; None where a noun follows or nothing."""
    if words.at(place) != "of":
        return None
    end = place + 1
    while words.at(end) in lexicon.DETERMINERS:
        end += 1
    return end + 1 if words.at(end) in _GROUPS and is_end(words, end + 1) else None


_GROUPS = lexicon.NUMBERS.keys() | {"them", "all", "these", "those"}
