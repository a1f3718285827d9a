"""Fragments of phrases that say something about place: sides, ordinals, superlatives, relations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wordmask.components.place import lexicon
from wordmask.components.place.expression import SUBJECT, VIEWER, Constraint, Ordinal, Side, Superlative
from wordmask.components.place.words import Words, end_of_group, is_end

_NEGATIONS = (
    "not the", "but not", "not", "except for", "except the", "except", "other than the", "other than", "isn't",
)  # fmt: skip
_POSSESSIVES = {
    "his": SUBJECT, "her": SUBJECT, "their": SUBJECT, "its": SUBJECT, "my": VIEWER, "our": VIEWER, "your": VIEWER,
}  # fmt: skip
_SIDE_PREPOSITIONS = frozenset("on at in to towards toward from along near".split())
_STRENGTHS = frozenset("far very extreme most utmost absolute direct outermost outer".split())
_VIEWERS = frozenset("camera viewer us me photographer front foreground".split())


@dataclass(frozen=True)
class Fragment:
    """A piece of a phrase that says something about place.

    Attributes:
        end: Position behind it.
        length: How many words it has.
        constraints: What it says; () for a relation, whose things follow.
        kind: The relation, None for other pieces.
        negated: Whether the relation is negated.
        frame: Whose left and right are meant, where it says so.
        relation_frame: The same for a relation.
        count: How many things it says are meant.
        before_noun: Whether it stands before the noun ("left man"), whose article then stays.
        skip: Positions of words behind the noun that belong to it ("second ... from the left").
        thing: Positions of the other thing of a relation where it stands inside ("on the man's left").
    """

    end: int
    length: int
    constraints: tuple[Constraint, ...] = ()
    kind: str | None = None
    negated: bool = False
    frame: str | None = None
    relation_frame: str = VIEWER
    count: int | None = None
    before_noun: bool = False
    skip: tuple[int, int] | None = None
    thing: tuple[int, int] | None = None


def read_fragment(words: Words, place: int, *, named: tuple[str, ...], in_phrase: bool) -> Fragment | None:
    """Return what a phrase says about place at a position, None where it says nothing there.

    Args:
        words: The phrase.
        place: The position.
        named: Words of the name before the position, without articles and numbers.
        in_phrase: Whether the name has a preposition: adjectives then belong to another noun ("man in the left lane").
    """
    for phrase in _NEGATIONS:
        if words.matches(place, phrase) and not any(words.matches(place, r) for r in lexicon.NEGATED_RELATIONS):
            start = place + len(phrase.split())
            start += words.at(start) in lexicon.DETERMINERS
            found = _positive(words, start, named, in_phrase)
            return _without_pronoun(words, _negated(found, start - place), named) if found else None
    found = _positive(words, place, named, in_phrase)
    return _without_pronoun(words, found, named) if found else None


def _without_pronoun(words: Words, fragment: Fragment, named: tuple[str, ...]) -> Fragment:
    """Take "one" behind a fragment along where a noun stands before it: "all people except the leftmost one"."""
    if named and fragment.kind is None and words.at(fragment.end) in ("one", "ones"):
        return replace(fragment, end=fragment.end + 1, length=fragment.length + 1, before_noun=False)
    return fragment


def _negated(fragment: Fragment, more: int) -> Fragment:
    constraints = tuple(replace(constraint, negated=True) for constraint in fragment.constraints)
    return replace(fragment, constraints=constraints, negated=True, length=fragment.length + more, before_noun=False)


def _positive(words: Words, place: int, named: tuple[str, ...], in_phrase: bool) -> Fragment | None:
    return (
        _ordinal(words, place, named, in_phrase)
        or _superlative(words, place, named, in_phrase)
        or _side_phrase(words, place)
        or _side_relation(words, place)
        or _relation(words, place, named)
        or _bare_side(words, place, named, in_phrase)
    )


def _sides(words: Words, place: int) -> tuple[list[str], int]:
    """The sides named from a position on, with words such as "far" and "most", and the position behind them."""
    sides: list[str] = []
    end = place
    while True:
        word = words.at(end)
        if word in lexicon.SIDE_WORDS:
            sides.append(lexicon.SIDE_WORDS[word])
        elif not (
            (word in _STRENGTHS and (words.at(end + 1) in lexicon.SIDE_WORDS or sides))
            or (sides and word == "hand" and words.at(end + 1) in lexicon.SIDE_NOUNS)
            or (sides and word == "and" and words.at(end + 1) in lexicon.SIDE_WORDS)
        ):
            break
        end += 1
    return _compatible(sides), end


def _compatible(sides: list[str]) -> list[str]:
    """Sides without repetition; "corner" is said by two others, and "left front" keeps both."""
    kept = list(dict.fromkeys(sides))
    if "corner" in kept and len(kept) > 2:
        kept.remove("corner")
    return kept


def _of_image(words: Words, place: int) -> int | None:
    """The position behind "of the image", None where another thing or nothing follows."""
    if words.at(place) not in ("of", "in"):
        return None
    end = place + 1
    while words.at(end) in lexicon.DETERMINERS:
        end += 1
    return end + 1 if words.at(end) in lexicon.IMAGE_NOUNS else None


def _side_phrase(words: Words, place: int) -> Fragment | None:
    """Read "on the left", "at the very top of the image", "in the bottom left corner", "to his right"."""
    if words.at(place) not in _SIDE_PREPOSITIONS:
        return None
    start, frame = _article(words, place + 1)
    if (
        words.at(place) in ("in", "at", "on", "to")
        and words.at(start) in lexicon.IMAGE_NOUNS
        and words.at(start + 1) == ""
    ):
        return None
    sides, end = _sides(words, start)
    if not sides:
        return None
    nouns = 0
    while words.at(end) in lexicon.SIDE_NOUNS:
        if words.at(end) == "corner":
            sides = _compatible([*sides, "corner"])
        end, nouns = end + 1, nouns + 1
    image = _of_image(words, end)
    if image is not None:
        of_image = words.at(image - 1) not in ("group", "row", "line")
        return Fragment(image, image - place, tuple(Side(side, of_image) for side in sides), frame=frame)
    group = end_of_group(words, end)
    if group is not None:
        return Fragment(group, group - place, tuple(Side(side) for side in sides), frame=frame)
    if words.at(end) == "of":
        return _surface(words, place, end, sides) if nouns else None
    if words.at(place) == "in" and words.at(end) in ("row", "column") and is_end(words, end + 1):
        end += 1
    if not is_end(words, end):
        return None
    if words.at(place) in ("from", "along") and not nouns and words.at(place) == "from":
        return None
    return Fragment(end, end - place, tuple(Side(side) for side in sides), frame=frame)


def _article(words: Words, place: int) -> tuple[int, str | None]:
    """The position behind an article or possessive, and whose side it says: "the", "her", "the viewer's"."""
    start, frame = place, None
    while words.at(start) in lexicon.DETERMINERS:
        frame = _POSSESSIVES.get(words.at(start), frame)
        start += 1
    if words.at(start) in ("viewer's", "viewers", "observer's", "camera's"):
        return start + 1, VIEWER
    if words.at(start) in ("subject's", "subjects"):
        return start + 1, SUBJECT
    return start, frame


def _surface(words: Words, place: int, end: int, sides: list[str]) -> Fragment | None:
    """Read "on the left side of the road": a side, since roads and tables have things on them."""
    thing = end + 1
    while words.at(thing) in lexicon.DETERMINERS:
        thing += 1
    if words.at(thing) not in lexicon.SURFACES or not is_end(words, thing + 1):
        return None
    return Fragment(thing + 1, thing + 1 - place, tuple(Side(side) for side in sides))


def _side_relation(words: Words, place: int) -> Fragment | None:
    """Read "left of the laptop", "to the right of", "on the left side of the car", "on the man's left"."""
    start = place
    if words.at(start) in ("to", "on", "at"):
        start, _ = _article(words, start + 1)
        own = _own_side(words, place, start)
        if own:
            return own
    strength = start + (words.at(start) in ("just", "immediately", "directly"))
    if words.at(strength) not in ("left", "right"):
        return None
    end = strength + 1
    while words.at(end) in lexicon.SIDE_NOUNS or words.at(end) == "hand":
        end += 1
    of = words.at(end) == "of" and not (place < 2 and _is_numbered(words, end + 1))  # "the left of the two dogs"
    if not of and not _is_said_for_of(words, end):
        return None
    return Fragment(end + 1, end + 1 - place, kind=f"{words.at(strength)}_of")


def _is_numbered(words: Words, place: int) -> bool:
    return words.at(place) in lexicon.NUMBERS or words.at(place + 1) in lexicon.NUMBERS


def _is_said_for_of(words: Words, place: int) -> bool:
    """Whether "from the dog" or "to the dog" stands for "of the dog": "the man left from the dog"."""
    thing = words.at(place + 2)
    known = bool(thing) and thing not in _VIEWERS and thing not in lexicon.SIDE_WORDS and not thing.endswith("'s")
    return words.at(place) in ("from", "to") and words.at(place + 1) in ("the", "a", "an") and known


def _own_side(words: Words, place: int, start: int) -> Fragment | None:
    """Read "on the man's left": the other thing is the man, and the side his own."""
    for owner in range(start, min(start + 4, len(words))):
        if words.at(owner).endswith("'s") and words.at(owner + 1) in ("left", "right"):
            end = owner + 2 + (words.at(owner + 2) == "side")
            if not is_end(words, end) or words.at(owner) in ("viewer's", "subject's", "observer's", "camera's"):
                return None
            kind = f"{words.at(owner + 1)}_of"
            return Fragment(end, end - place, kind=kind, relation_frame=SUBJECT, thing=(start, owner + 1))
    return None


def _relation(words: Words, place: int, named: tuple[str, ...]) -> Fragment | None:
    if not named:
        return None
    for phrase in _RELATIONS:
        if words.matches(place, phrase):
            end = place + len(phrase.split())
            if phrase in ("nearest", "closest") and words.at(end) not in ("the", "a", "my", "his", "her"):
                return None
            if phrase in ("by", "on", "over") and not _is_thing(words, end):
                return None
            if not words.at(end) or words.at(end) in ",;:.":
                return None
            negated = phrase in lexicon.NEGATED_RELATIONS
            return Fragment(end, end - place, kind=lexicon.RELATION_PHRASES[phrase], negated=negated)
    return None


_RELATIONS = sorted(lexicon.RELATION_PHRASES, key=lambda phrase: -len(phrase.split()))


def _is_thing(words: Words, place: int) -> bool:
    """Whether a thing that an image shows follows "on" or "by": not "on fire", "by himself"."""
    word = words.at(place)
    return bool(word) and word not in _NO_THINGS and not is_end(words, place)


_NO_THINGS = frozenset(
    "fire it him her them himself herself itself themselves phone display sale top back foot purpose hold vacation "
    "edge duty television tv way his".split()
)


def _ordinal(words: Words, place: int, named: tuple[str, ...], in_phrase: bool) -> Fragment | None:
    """Read "second from the left", "the second ... from the left" (the noun between stays), "the last two"."""
    read = _number(words, place)
    if read is None or (in_phrase and words.at(place + 1) not in ("from", "to", "in")):
        return None
    number, start = read
    side, end = _from_side(words, start)
    if side:
        return Fragment(end, end - place, (Ordinal(number, side),), before_noun=not is_end(words, end))
    extreme = words.at(start)
    if extreme in lexicon.SUPERLATIVES:
        measure, most = lexicon.SUPERLATIVES[extreme]
        return Fragment(start + 1, start + 1 - place, (Superlative(measure, most, max(1, number)),), before_noun=True)
    if extreme in lexicon.EXTREMES or (extreme in ("left", "right") and not named):
        return Fragment(start + 1, start + 1 - place, (Ordinal(number, lexicon.SIDE_WORDS[extreme]),), before_noun=True)
    if named:
        return None
    count = lexicon.NUMBERS.get(extreme) if extreme != "one" else None
    later = _later_side(words, start)
    if later is None:
        return None
    side, begin, stop = later
    ordinals = (Ordinal(number, side),)
    return Fragment(start, start - place, ordinals, count=count, before_noun=True, skip=(begin, stop))


def _number(words: Words, place: int) -> tuple[int, int] | None:
    """An ordinal and the position behind it: "second", "second to last", "next to last"."""
    if words.matches(place, "second to last") or words.matches(place, "next to last"):
        return -2, place + 3
    if words.matches(place, "third to last"):
        return -3, place + 3
    if words.matches(place, "second last") or words.matches(place, "third last"):
        return (-2 if words.at(place) == "second" else -3), place + 2
    if words.matches(place, "last but one"):
        return -2, place + 3
    word = words.at(place)
    return (lexicon.ORDINALS[word], place + 1) if word in lexicon.ORDINALS else None


def _from_side(words: Words, place: int) -> tuple[str | None, int]:
    """The side of "from the left", "to the right", "in from left", directly at a position."""
    start = place + (words.at(place) == "in" and words.at(place + 1) == "from")
    if words.at(start) not in ("from", "to", "on"):
        return None, place
    begin, _ = _article(words, start + 1)
    sides, end = _sides(words, begin)
    if not sides:
        return None, place
    while words.at(end) in lexicon.SIDE_NOUNS:
        end += 1
    if words.at(end) == "of" and _of_image(words, end) is None:
        return None, place
    return sides[0], _of_image(words, end) or end


def _later_side(words: Words, start: int) -> tuple[str, int, int] | None:
    """The side that follows an ordinal with its noun between: side, where its words begin and end.

    Without a side counting begins at the left; at the end of the phrase.
    """
    for begin in range(start, min(len(words), start + 8)):
        if words.at(begin) in ",;":
            break
        side, end = _from_side(words, begin)
        if side and begin > start:
            return side, begin, end
    return ("left", len(words), len(words)) if words.at(start) and not is_end(words, start) else None


def _superlative(words: Words, place: int, named: tuple[str, ...], in_phrase: bool) -> Fragment | None:
    word = words.at(place)
    if word not in lexicon.SUPERLATIVES:
        return None
    measure, most = lexicon.SUPERLATIVES[word]
    end = place + 1
    if measure == "distance":
        if named and words.at(end) in lexicon.DETERMINERS:  # "nearest the door"
            return None
        if words.at(end) in ("to", "from"):
            begin, _ = _article(words, end + 1)
            sides, stop = _sides(words, begin)
            if sides:  # "furthest to the right"
                return Fragment(stop, stop - place, tuple(Side(side) for side in sides))
            thing, _ = _article(words, end + 1)
            if words.at(thing) not in _VIEWERS:
                return None
            return Fragment(thing + 1, thing + 1 - place, (Superlative(measure, most),))
        if words.at(end) in ("away", "back"):
            end += 1
        if word in ("further", "farther", "closer", "nearer") and not is_end(words, end):
            return None
        if words.at(end) in ("left", "right"):  # "furthest left"
            sides, stop = _sides(words, end)
            return Fragment(stop, stop - place, tuple(Side(side) for side in sides), before_noun=True)
    if words.at(end) == "than" or (in_phrase and not is_end(words, end)):
        return None
    return Fragment(end, end - place, (Superlative(measure, most),), before_noun=not is_end(words, end))


def _bare_side(words: Words, place: int, named: tuple[str, ...], in_phrase: bool) -> Fragment | None:
    """Read "left man", "man left", "top left pizza", "the leftmost", "left side man"."""
    sides, end = _sides(words, place)
    if not sides:
        return None
    while words.at(end) in lexicon.SIDE_NOUNS:
        if words.at(end) == "corner":
            sides = _compatible([*sides, "corner"])
        end += 1
    image = _of_image(words, end)
    if image is not None:
        return Fragment(image, image - place, tuple(Side(side, True) for side in sides))
    last = words.at(end - 1)
    said: tuple[Constraint, ...] = tuple(Side(side) for side in sides)
    if last in lexicon.EXTREMES and len(sides) == 1:
        said = (Ordinal(1, sides[0]),)
    if words.at(end) == "of":
        several = (
            last in lexicon.EXTREMES or words.at(end + 1) in lexicon.NUMBERS or words.at(end + 2) in lexicon.NUMBERS
        )
        return Fragment(end, end - place, said, before_noun=True) if several and not named else None
    if is_end(words, end):
        weak = in_phrase and not (last in lexicon.EXTREMES or {"left", "right"} & set(sides))
        weak = weak or last in ("upper", "lower", "higher", "mid", "central")
        return None if weak and named else Fragment(end, end - place, said)
    return None if in_phrase else Fragment(end, end - place, said, before_noun=True)
