"""What a phrase names and what it says about place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

SIDES = ("left", "right", "top", "bottom", "middle", "corner", "front", "back")
MEASURES = ("size", "height", "width", "length", "distance")
RELATIONS = (
    "next_to", "above", "below", "between", "in_front_of", "behind", "on", "inside", "left_of", "right_of", "with",
    "closest_to", "farthest_from",
)  # fmt: skip
VIEWER, SUBJECT = "viewer", "subject"

_MOST = {
    ("size", True): "largest", ("size", False): "smallest", ("height", True): "tallest", ("height", False): "shortest",
    ("width", True): "widest", ("width", False): "narrowest", ("length", True): "longest",
    ("distance", True): "farthest", ("distance", False): "nearest",
}  # fmt: skip


@dataclass(frozen=True)
class Side:
    """A side of the image, or of the group of candidates: "on the left", "the middle one", "in the foreground".

    Attributes:
        side: One of `SIDES`.
        of_image: Whether the phrase says "of the image": then positions count in the image, not among the candidates.
        negated: Whether the phrase says "not".
    """

    side: str
    of_image: bool = False
    negated: bool = False

    def __str__(self) -> str:
        return f"{'not ' if self.negated else ''}{self.side}{' of image' if self.of_image else ''}"


@dataclass(frozen=True)
class Ordinal:
    """A position in the order from a side: "second from the left".

    Attributes:
        number: 1 for the first; -1 for the last, -2 for the last but one.
        side: Where counting begins.
        negated: Whether the phrase says "not".
    """

    number: int
    side: str = "left"
    negated: bool = False

    def __str__(self) -> str:
        return f"{'not ' if self.negated else ''}#{self.number} from {self.side}"


@dataclass(frozen=True)
class Superlative:
    """An extreme of a measure: "the second largest".

    Attributes:
        measure: One of `MEASURES`; the distance is that from the camera.
        most: Whether the largest value is meant, or the smallest.
        rank: 1 for the extreme itself, 2 for the next.
        negated: Whether the phrase says "not".
    """

    measure: str
    most: bool = True
    rank: int = 1
    negated: bool = False

    def __str__(self) -> str:
        word = _MOST.get((self.measure, self.most), f"{'most' if self.most else 'least'} {self.measure}")
        return f"{'not ' if self.negated else ''}{f'#{self.rank} ' if self.rank > 1 else ''}{word}"


@dataclass(frozen=True)
class Relation:
    """A relation to other named things: "next to the laptop", "between the two cups".

    Attributes:
        kind: One of `RELATIONS`.
        things: What it relates to.
        negated: Whether the phrase says "not" or "without".
        frame: `"subject"` where left and right are the other thing's own ("on the man's left"), else `"viewer"`.
    """

    kind: str
    things: tuple[Expression, ...]
    negated: bool = False
    frame: str = VIEWER

    def __str__(self) -> str:
        own = " own" if self.frame == SUBJECT else ""
        return f"{'not ' if self.negated else ''}{self.kind}{own}({' & '.join(map(str, self.things))})"


Constraint: TypeAlias = "Side | Ordinal | Superlative | Relation"


@dataclass(frozen=True)
class Expression:
    """A phrase, taken apart.

    Attributes:
        text: The phrase.
        name: What names the thing, without article and place, such as "man in the red shirt"; "" where nothing does
            ("left", "the one on the right").
        head: The head noun of `name`; "" without a name.
        constraints: What the phrase says about place, in order.
        noun_phrases: The noun phrases of the name and of related things, the name's first.
        colours: Colour words of the name; they also stay in it.
        count: How many things are meant, where the phrase says so.
        plural: Whether more than one may be meant.
        definite: Whether the phrase begins with "the".
        frame: `"viewer"` or `"subject"` where the phrase says whose left and right it means, else None.
        side_of_name: The side in front of a part in the name, "left" of "left eye"; None without.
    """

    text: str
    name: str
    head: str
    constraints: tuple[Constraint, ...] = ()
    noun_phrases: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    count: int | None = None
    plural: bool = False
    definite: bool = False
    frame: str | None = None
    side_of_name: str | None = None

    @property
    def meant(self) -> int | None:
        """How many things are meant; None for all that fit.

        A noun without "the" that is only related to other things means all that fit: "window next to a door".
        """
        if self.count is not None:
            return self.count
        loose = bool(self.constraints) and not self.definite and all(isinstance(c, Relation) for c in self.constraints)
        return None if self.plural or loose else 1

    @property
    def negatives(self) -> tuple[str, ...]:
        """Names of things that the phrase excludes: "hat" of "the man without a hat"."""
        excluded = [c for c in self.constraints if isinstance(c, Relation) and c.negated]
        return tuple(thing.name for relation in excluded for thing in relation.things if thing.name)

    @property
    def related(self) -> tuple[Expression, ...]:
        """The other things that the phrase relates to, without repetition."""
        relations = [c for c in self.constraints if isinstance(c, Relation)]
        return tuple(dict.fromkeys(thing for relation in relations for thing in relation.things))

    def viewed_by_subject(self) -> Expression:
        """Return the expression with left and right as the depicted subjects, who face the camera, see them."""
        swap = {"left": "right", "right": "left"}
        changed: list[Constraint] = []
        for constraint in self.constraints:
            if isinstance(constraint, Side | Ordinal):
                changed.append(replace(constraint, side=swap.get(constraint.side, constraint.side)))
            elif isinstance(constraint, Relation) and constraint.frame == VIEWER:
                changed.append(replace(constraint, frame=SUBJECT))
            else:
                changed.append(constraint)
        return replace(self, constraints=tuple(changed))

    def __str__(self) -> str:
        count = f"{self.count} " if self.count and self.count > 1 else ""
        many = "*" if self.plural and not self.count else ""
        place = "; ".join(map(str, self.constraints))
        frame = f" @{self.frame}" if self.frame else ""
        return f"{count}{self.name}{many}{f' [{place}]' if place else ''}{frame}"
