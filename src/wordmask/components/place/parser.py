"""A rule-based parser of phrases with words of place; it needs no library and no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from wordmask.components.place import lexicon
from wordmask.components.place.expression import (
    SUBJECT,
    VIEWER,
    Constraint,
    Expression,
    Relation,
)
from wordmask.components.place.fragments import Fragment, read_fragment
from wordmask.components.place.names import KeptName, head_of, name_at, noun_phrases
from wordmask.components.place.words import Words, end_of_group, is_plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STRENGTHS = frozenset("right just directly immediately slightly".split())
MOST_NESTED = 3
"""Relations inside of relations that are read: "next to the cup on the table"; further ones belong to the name."""
_PLACING = frozenset(("on", "at", "to", "in"))
_BOUNDARIES = frozenset(",;:.")
_FRAMES = {
    "from the viewer's perspective": VIEWER, "from the viewer's point of view": VIEWER, "from our view": VIEWER,
    "from my perspective": VIEWER, "from my point of view": VIEWER, "as seen by the viewer": VIEWER,
    "as seen in the image": VIEWER, "viewed from the front": VIEWER, "from his perspective": SUBJECT,
    "from her perspective": SUBJECT, "from their perspective": SUBJECT, "from the subject's perspective": SUBJECT,
    "from his point of view": SUBJECT, "from her point of view": SUBJECT, "from their point of view": SUBJECT,
    "from the subject's point of view": SUBJECT,
}  # fmt: skip


def parse(expression: str) -> Expression:
    """Take a phrase apart into what it names and what it says about place.

    A phrase without words of place has no constraints, and its name is the phrase. Constraints belong to the nearest
    noun before them: in "the cup next to the laptop on the left" the laptop is on the left; a comma goes back to the
    head ("the cup next to the laptop, on the left"). Words of another language than English name.

    Args:
        expression: Any text.
    """
    return _parse(expression, 0)


@lru_cache(maxsize=4096)
def _parse(expression: str, nested: int) -> Expression:
    return Reading(Words.of(expression), _parse, nested).read(expression)


class Guide(Protocol):
    """What a grammatical analysis of a phrase adds to the rules; None where it says nothing."""

    def is_verb(self, place: int) -> bool:
        """Return whether the word at a position is a verb."""
        ...

    def end_of_thing(self, start: int) -> int | None:
        """Return the position behind the noun phrase that begins at `start`, with what belongs to it."""
        ...

    def head(self, name: Sequence[int]) -> int | None:
        """Return the position of the head noun among the positions of a name."""
        ...


@dataclass
class Reading:
    """What was read of a phrase so far.

    Attributes:
        words: The phrase.
        inner: The parser of related things: text and how many relations it is inside of.
        nested: How many relations the phrase is inside of.
        guide: A grammatical analysis of the phrase.
        name: Positions of the words that name.
        constraints: What was said about place.
    """

    words: Words
    inner: Callable[[str, int], Expression]
    nested: int = 0
    guide: Guide | None = None
    name: list[int] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    count: int | None = None
    frame: str | None = None
    side_of_name: str | None = None
    skip: tuple[int, int] | None = None

    def read(self, text: str) -> Expression:
        """Read the whole phrase."""
        position = 0
        while position < len(self.words):
            position = self.step(position)
        return self.finish(text)

    def step(self, place: int) -> int:
        """Read what begins at a position and return the position behind it."""
        if self.skip and place == self.skip[0]:
            return max(self.skip[1], place + (self.skip[1] == place))
        frame = next((phrase for phrase in _FRAMES if self.words.matches(place, phrase)), None)
        if frame:
            self.frame = _FRAMES[frame]
            return place + len(frame.split())
        kept = name_at(self.words, place, self._named())
        if kept is None and self.guide is not None and self.words.at(place) == "left" and self.guide.is_verb(place):
            kept = KeptName(1)
        if kept:
            if kept.side and not self._has_preposition():
                self.side_of_name = kept.side
            self.name += range(place, place + kept.length)
            return place + kept.length
        fragment = read_fragment(self.words, place, named=self._named(), in_phrase=self._has_preposition())
        group = end_of_group(self.words, place) if self._named() else None
        if group is not None:  # "the left cat of the two"
            return group
        if fragment and (fragment.kind is None or self.nested < MOST_NESTED):
            return self._take(fragment, place)
        self.name.append(place)
        return place + 1

    def _named(self) -> tuple[str, ...]:
        """Words of the name so far that are no articles."""
        words = (self.words.low[index] for index in self.name)
        return tuple(word for word in words if word not in lexicon.DETERMINERS and word not in lexicon.NUMBERS)

    def _has_preposition(self) -> bool:
        return any(self.words.low[index] in lexicon.PREPOSITIONS for index in self.name)

    def _take(self, fragment: Fragment, place: int) -> int:
        if fragment.end > place:  # what stands before goes with it: "the man that is standing | on the left"
            links = lexicon.LINKS | (_STRENGTHS if fragment.kind else frozenset())
            while self.name and self.words.low[self.name[-1]] in links and self._trailing(fragment):
                self.name.pop()
        self.frame = fragment.frame or self.frame
        self.count = fragment.count or self.count
        self.skip = fragment.skip if fragment.skip and fragment.skip[0] < fragment.skip[1] else self.skip
        if fragment.kind is None:
            self.constraints += fragment.constraints
            return fragment.end
        return self._relation(fragment)

    def _trailing(self, fragment: Fragment) -> bool:
        """Whether articles before a fragment are its own: not those of the noun that it stands before."""
        return not (fragment.before_noun and self.words.low[self.name[-1]] in lexicon.DETERMINERS)

    def _relation(self, fragment: Fragment) -> int:
        """Read the things of a relation, up to a comma or to "and" with another word of place."""
        if fragment.thing:
            owner = self.inner(self.words.slice(*fragment.thing).text.removesuffix("'s"), self.nested + 1)
            self._add(fragment, (owner,))
            return fragment.end
        start = fragment.end
        parts = self._parts(start, self._end_of_things(start, fragment))
        read = [self.inner(self.words.slice(a, b).text, self.nested + 1) for a, b in parts if b > a]
        things = tuple(thing for thing in read if thing.name or thing.constraints)
        if not things:
            self.name += range(start - fragment.length, start)
            return start
        self._add(fragment, things)
        return parts[-1][1]

    def _end_of_things(self, start: int, fragment: Fragment) -> int:
        """The position behind the things of a relation: a comma; behind "without" also the next word of place."""
        end = next((i for i in range(start, len(self.words)) if self.words.low[i] in _BOUNDARIES), len(self.words))
        if self.guide is not None:
            end = min(end, self.guide.end_of_thing(start) or end)
        if fragment.kind == "with":
            places = (i for i in range(start + 1, end) if self.words.low[i] in _PLACING)
            sides = (i for i in places if read_fragment(self.words, i, named=("x",), in_phrase=True))
            end = next(sides, end)
        return end

    def _parts(self, start: int, end: int) -> list[tuple[int, int]]:
        """The things of a relation, joined by "and", up to "and" with another word of place."""
        parts: list[tuple[int, int]] = []
        for cut in [i for i in range(start + 1, end) if self.words.low[i] == "and"]:
            if self.words.at(cut - 1) in lexicon.COLOURS and self.words.at(cut + 1) in lexicon.COLOURS:
                continue
            again = self.words.at(cut + 1) not in lexicon.DETERMINERS
            if again and read_fragment(self.words, cut + 1, named=("x",), in_phrase=False):
                return [*parts, (start, cut)]
            parts.append((start, cut))
            start = cut + 1
        return [*parts, (start, end)]

    def _add(self, fragment: Fragment, things: tuple[Expression, ...]) -> None:
        assert fragment.kind is not None
        self.constraints.append(Relation(fragment.kind, things, fragment.negated, fragment.relation_frame))

    def finish(self, text: str) -> Expression:
        """Return the expression."""
        words, name = self.words, self.name
        while name and words.low[name[-1]] in lexicon.LINKS | {"not", "except", "other", "than"}:
            name.pop()
        name, count, every = _without_determiners(words, name)
        self.count = self.count or count
        kept = tuple(words.low[index] for index in name)
        head = self._head(name) or head_of(kept)
        if self.constraints and (not head or head in lexicon.EMPTY_HEADS):
            name, head, kept = [], "", ()
        spoken = Words(tuple(words.given[index] for index in name), kept).text or ("" if self.constraints else text)
        related = [thing for c in self.constraints if isinstance(c, Relation) for thing in c.things]
        phrases = [*noun_phrases(kept), *(phrase for thing in related for phrase in thing.noun_phrases)]
        return Expression(
            text, spoken, head, tuple(self.constraints), tuple(dict.fromkeys(phrases)),
            tuple(word for word in kept if word in lexicon.COLOURS), self.count,
            every or (self.count or 1) > 1 or (self.count is None and is_plural(head)),
            words.at(0) in ("the", "this", "that"), self.frame, self.side_of_name,
        )  # fmt: skip

    def _head(self, name: list[int]) -> str:
        place = self.guide.head(name) if self.guide is not None else None
        return "" if place is None else self.words.low[place]


def _without_determiners(words: Words, name: list[int]) -> tuple[list[int], int | None, bool]:
    """The positions of a name without articles and numbers in front, the number, and whether all are meant."""
    count, every, group = None, False, False
    name = list(name)
    while name:
        word = words.low[name[0]]
        if word in lexicon.NUMBERS and (len(name) > 1 or word != "one"):
            count = None if group else lexicon.NUMBERS[word]
        elif word in ("all", "every", "each", "both"):
            every = not group
            count = 2 if word == "both" and not group else count
        elif word not in lexicon.DETERMINERS and word not in ("of", ",", "other", "very", "same"):
            break
        group = group or word == "of"  # "the largest of the three dogs": one is meant
        name.pop(0)
    return (name, 1, False) if group and count is None else (name, count, every)
