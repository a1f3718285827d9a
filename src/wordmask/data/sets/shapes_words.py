"""Phrases, referring expressions and captions that are true of a scene of shapes.

An expression is made only where it is right beyond doubt: its words fit the shape meant, they fit nothing else, and
nothing else comes near to fitting (a shape that is a little to the left is neither "left of" nor "not left of").
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wordmask.data.sets.shapes_scene import Shape

CLEAR = 0.05
"""Distance that counts as a difference of place, as a fraction of the image's shorter side."""


@dataclass(frozen=True)
class Description:
    """Words for a shape: its kind, with or without size and colour."""

    kind: str
    colour: str | None = None
    size: str | None = None

    def __str__(self) -> str:
        return " ".join(word for word in (self.size, self.colour, self.kind) if word)

    def fits(self, shape: Shape) -> bool:
        """Whether the words are true of a shape."""
        return shape.kind == self.kind and self.colour in (None, shape.colour) and self.size in (None, shape.size)


def descriptions(shape: Shape) -> tuple[Description, ...]:
    """Return the ways to describe a shape by its looks, shortest first."""
    return (
        Description(shape.kind),
        Description(shape.kind, shape.colour),
        Description(shape.kind, size=shape.size),
        Description(shape.kind, shape.colour, shape.size),
    )


@dataclass(frozen=True)
class Relation:
    """A place in relation to another, along one axis.

    Attributes:
        words: Such as "left of".
        axis: 0 for x, 1 for y.
        sign: -1 or 1: on which side of the other.
    """

    words: str
    axis: int
    sign: int

    def holds(self, shape: Shape, other: Shape, clear: float) -> bool:
        """Whether it is beyond doubt: far enough along the axis, and farther than across it."""
        along, across = self._offset(shape, other)
        return along >= clear and along >= abs(across)

    def fails(self, shape: Shape, other: Shape) -> bool:
        """Whether nobody would say so: the shape lies on the opposite side."""
        return self._offset(shape, other)[0] <= 0

    def _offset(self, shape: Shape, other: Shape) -> tuple[float, float]:
        offset = [one - two for one, two in zip(shape.centre, other.centre, strict=True)]
        return self.sign * offset[self.axis], offset[1 - self.axis]


RELATIONS = (Relation("left of", 0, -1), Relation("right of", 0, 1), Relation("above", 1, -1), Relation("below", 1, 1))

EXTREMES: Mapping[str, Callable[[Shape], float]] = {
    "leftmost": lambda shape: -shape.centre[0],
    "rightmost": lambda shape: shape.centre[0],
    "topmost": lambda shape: -shape.centre[1],
    "bottommost": lambda shape: shape.centre[1],
}
"""Words for the one that lies farthest in a direction, and how far a shape does."""


def expressions(shapes: Sequence[Shape], side: int) -> tuple[tuple[str, int], ...]:
    """Return every referring expression of the grammar with the position of the shape it means.

    Args:
        shapes: All shapes of the scene.
        side: The image's shorter side in pixels: what distances are measured by.
    """
    clear, names = CLEAR * side, [_shortest_unique(shape, shapes) for shape in shapes]
    found = {}
    for index, shape in enumerate(shapes):
        for words in descriptions(shape):
            fitting = [place for place, one in enumerate(shapes) if words.fits(one)]
            if fitting == [index]:
                found[f"the {words}"] = index
            for text in _by_extreme(words, [shapes[place] for place in fitting if place != index], shape, clear):
                found[text] = index
            for text in _by_relation(words, index, fitting, shapes, names, clear):
                found[text] = index
    return tuple(found.items())


def _by_extreme(words: Description, rivals: Sequence[Shape], shape: Shape, clear: float) -> Iterator[str]:
    for name, reach in EXTREMES.items():
        if rivals and reach(shape) >= max(map(reach, rivals)) + clear:
            yield f"the {name} {words}"


def _by_relation(
    words: Description,
    index: int,
    fitting: Sequence[int],
    shapes: Sequence[Shape],
    names: Sequence[Description | None],
    clear: float,
) -> Iterator[str]:
    for place, (landmark, name) in enumerate(zip(shapes, names, strict=True)):
        if place == index or name is None:
            continue
        rivals = [shapes[other] for other in fitting if other not in (index, place)]
        for relation in RELATIONS:
            if relation.holds(shapes[index], landmark, clear) and all(relation.fails(one, landmark) for one in rivals):
                yield f"the {words} {relation.words} the {name}"


def _shortest_unique(shape: Shape, shapes: Sequence[Shape]) -> Description | None:
    return next((words for words in descriptions(shape) if sum(words.fits(one) for one in shapes) == 1), None)


def caption(shapes: Sequence[Shape], side: int) -> str:
    """Return a sentence that names every shape and, where one is beyond doubt, one relation.

    Args:
        shapes: All shapes of the scene.
        side: The image's shorter side in pixels.
    """
    if not shapes:
        return "nothing but the ground"
    counts = Counter(str(descriptions(shape)[-1]) for shape in shapes)
    parts = [f"a {words}" if count == 1 else f"{count} {_plural(words)}" for words, count in counts.items()]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
    relation = _a_relation(shapes, CLEAR * side)
    return f"{listed}; {relation}" if relation else listed


def _plural(words: str) -> str:
    return f"{words}es" if words.endswith("s") else f"{words}s"


def _a_relation(shapes: Sequence[Shape], clear: float) -> str | None:
    known = [(shape, name) for shape in shapes if (name := _shortest_unique(shape, shapes))]
    for (shape, first), (landmark, second) in itertools.permutations(known, 2):
        for relation in RELATIONS:
            if relation.holds(shape, landmark, clear):
                return f"the {first} is {relation.words} the {second}"
    return None
