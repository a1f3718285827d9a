"""Referring expressions made from the masks of real instances: unique sides, orders, sizes and relations.

An expression is made only where it is right by a margin: the instance meant is extreme by at least `GAP` of the image's
side (or `LARGER` times the area), among at least two instances of the same name in the image.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.components.place import RegionGeometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.contracts import Dataset
    from wordmask.ops.masks import PackedMask

__all__ = ["PLACE_KINDS", "Referring", "Thing", "expressions_of", "things_of"]

GAP = 0.06
"""Least distance from the next instance, as a fraction of the image's side."""
LARGER = 1.5
"""Least ratio of areas for "largest" and "smallest"."""
LEAST_AREA = 0.001
"""Smallest instance, as a fraction of the image."""
MOST = 8
"""Instances of a name in an image beyond which nobody counts."""
OF_EACH = 4
"""Most expressions of a kind about an image."""
PLACE_KINDS = ("side", "middle", "order", "corner", "relation", "size")
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
SIDES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
FORMS = {
    "left": ("the {} on the left", "the left {}", "the leftmost {}", "{} on the left side"),
    "right": ("the {} on the right", "the right {}", "the rightmost {}", "{} on the right side"),
    "top": ("the {} at the top", "the top {}", "the topmost {}", "the upper {}"),
    "bottom": ("the {} at the bottom", "the bottom {}", "the lower {}", "{} at the bottom"),
}
PARTS = {
    "left eye": "eye", "right eye": "eye", "left eyebrow": "eyebrow", "right eyebrow": "eyebrow", "left ear": "ear",
    "right ear": "ear", "upper lip": "lip", "lower lip": "lip", "back left door": "door", "back right door": "door",
    "front left door": "door", "front right door": "door", "back left light": "light", "back right light": "light",
    "front left light": "light", "front right light": "light", "left mirror": "mirror", "right mirror": "mirror",
    "front bumper": "bumper", "back bumper": "bumper", "front glass": "glass", "back glass": "glass",
}  # fmt: skip
"""Names of parts without the side that the name itself tells: "the left eye" is the person's own, and no expression of
place here."""
OF_PARTS = frozenset(PARTS.values())
ATTRIBUTES = ("the left ", "the right ", "the top ", "the bottom ", "the upper ", "the lower ")
STUFF = frozenset(
    "banner blanket bridge cardboard counter curtain floor-wood flower fruit gravel house light mirror net platform "
    "playingfield railroad river road roof sand sea shelf snow stairs tent towel wall-brick wall-stone wall-tile "
    "wall-wood water window-blind tree fence ceiling sky cabinet table floor pavement mountain grass dirt paper food "
    "building rock wall rug skin hair neck clothing facade street vegetation balcony".split()
)
"""Names whose annotations are areas, not objects."""


@dataclass(frozen=True, eq=False)
class Thing:
    """An annotated instance with the name that people would use."""

    name: str
    mask: PackedMask


@dataclass(frozen=True, eq=False)
class Referring:
    """An expression and what it means.

    Attributes:
        text: The expression.
        kind: "name", or one of `PLACE_KINDS`.
        target: The mask meant.
        name: What it names.
        mirrored: The expression that means the same in the mirrored image.
        others: Number of other instances of the name.
    """

    text: str
    kind: str
    target: PackedMask
    name: str
    mirrored: str
    others: int


def things_of(data: Dataset, index: int) -> tuple[Any, list[Thing]]:
    """Return the image of a sample, and its instances; every part of a label map is one."""
    sample = data[index]
    things = []
    for query in sample.queries:
        masks = [one.mask for one in query.instances if one.mask is not None and not one.crowd] or [query.packed]
        things += [Thing(PARTS.get(query.label, query.label), mask) for mask in masks if mask.area]
    return sample.image, things


def expressions_of(things: Sequence[Thing], key: str) -> list[Referring]:
    """Return the expressions about an image's instances, one form drawn for each by the image's name."""
    random = np.random.default_rng(zlib.crc32(key.encode()))
    groups: dict[str, list[PackedMask]] = {}
    for thing in things:
        if thing.name not in STUFF:
            groups.setdefault(thing.name, []).append(thing.mask)
    made: list[Referring] = []
    for name, masks in groups.items():
        pixels = masks[0].size[0] * masks[0].size[1]
        if any(mask.area < LEAST_AREA * pixels for mask in masks) or len(masks) > MOST:
            continue
        if len(masks) == 1:
            made.append(Referring(f"the {name}", "name", masks[0], name, f"the {name}", 0))
            continue
        geometry = RegionGeometry.of_masks(masks, masks[0].size)
        for kind, text, mirrored, row in _about(name, geometry, groups, random):
            if name not in OF_PARTS or not text.startswith(ATTRIBUTES):
                made.append(Referring(text, kind, masks[row], name, mirrored, len(masks) - 1))
    return _few_of_each(made, random)


def _few_of_each(made: list[Referring], random: Any) -> list[Referring]:
    """At most `OF_EACH` expressions of each kind, drawn, in the order in which they were made."""
    chosen: set[int] = set()
    for kind in dict.fromkeys(one.kind for one in made):
        rows = [row for row, one in enumerate(made) if one.kind == kind]
        chosen |= set(random.permutation(rows)[:OF_EACH].tolist())
    return [one for row, one in enumerate(made) if row in chosen]


Made = tuple[str, str, str, int]


def _about(name: str, where: RegionGeometry, groups: dict[str, list[PackedMask]], random: Any) -> Iterator[Made]:
    yield from _sides(name, where, random)
    yield from _orders(name, where)
    yield from _corners(name, where)
    yield from _sizes(name, where)
    for other, masks in groups.items():
        if other != name and len(masks) == 1 and masks[0].area >= LEAST_AREA * masks[0].size[0] * masks[0].size[1]:
            yield from _relations(name, where, other, RegionGeometry.of_masks(masks, masks[0].size))


def _along(where: RegionGeometry, axis: int) -> np.ndarray:
    """Positions (n,) along an axis as fractions of the image."""
    return np.asarray(where.centres[:, axis] / where.size[1 - axis])


def _sides(name: str, where: RegionGeometry, random: Any) -> Iterator[Made]:
    for side, (axis, sign) in SIDES.items():
        values = sign * _along(where, axis)
        order = np.argsort(values)
        if values[order[1]] - values[order[0]] < GAP:
            continue
        form = int(random.integers(len(FORMS[side])))
        other = OPPOSITE[side] if axis == 0 else side
        yield "side", FORMS[side][form].format(name), FORMS[other][form].format(name), int(order[0])
    for axis in (0, 1):
        values = _along(where, axis)
        order = np.argsort(values)
        if len(where) == 3 and np.diff(values[order]).min() >= GAP and np.ptp(values) > np.ptp(_along(where, 1 - axis)):
            text = f"the {name} in the middle"
            yield "middle", text, text, int(order[1])


def _orders(name: str, where: RegionGeometry) -> Iterator[Made]:
    values = _along(where, 0)
    order = np.argsort(values)
    if len(where) < 3 or np.diff(values[order]).min() < GAP:
        return
    yield "order", f"the second {name} from the left", f"the second {name} from the right", int(order[1])
    if len(where) > 3:
        yield "order", f"the third {name} from the right", f"the third {name} from the left", int(order[-3])


def _corners(name: str, where: RegionGeometry) -> Iterator[Made]:
    across, down = _along(where, 0), _along(where, 1)
    for vertical, sign in (("top", 1), ("bottom", -1)):
        for side, direction in (("left", 1), ("right", -1)):
            best = int(np.argmin(direction * across))
            rest = [row for row in range(len(where)) if row != best]
            if (
                best == int(np.argmin(sign * down))
                and (direction * (across[rest] - across[best])).min() >= GAP
                and (sign * (down[rest] - down[best])).min() >= GAP
            ):
                yield "corner", f"the {vertical} {side} {name}", f"the {vertical} {OPPOSITE[side]} {name}", best


def _sizes(name: str, where: RegionGeometry) -> Iterator[Made]:
    order = np.argsort(where.areas)
    if where.areas[order[-1]] >= LARGER * where.areas[order[-2]]:
        text = f"the largest {name}"
        yield "size", text, text, int(order[-1])
    if where.areas[order[1]] >= LARGER * where.areas[order[0]]:
        text = f"the smallest {name}"
        yield "size", text, text, int(order[0])


def _relations(name: str, where: RegionGeometry, other: str, thing: RegionGeometry) -> Iterator[Made]:
    x0, y0, x1, y1 = thing.boxes[0]
    centres = where.centres
    width, height = where.size[1], where.size[0]
    beside = {"left": centres[:, 0] < x0, "right": centres[:, 0] > x1}
    for side, held in beside.items():
        far = centres[:, 0] > x1 if side == "left" else centres[:, 0] < x0
        if held.sum() == 1 and far.sum() == len(where) - 1:
            mirrored = f"the {name} to the {OPPOSITE[side]} of the {other}"
            yield "relation", f"the {name} to the {side} of the {other}", mirrored, int(np.argmax(held))
    for word, held, far in (
        ("above", centres[:, 1] < y0, centres[:, 1] > y1),
        ("below", centres[:, 1] > y1, centres[:, 1] < y0),
    ):
        if held.sum() == 1 and far.sum() == len(where) - 1:
            text = f"the {name} {word} the {other}"
            yield "relation", text, text, int(np.argmax(held))
    gaps = np.hypot(
        np.maximum(0, np.maximum(where.boxes[:, 0] - x1, x0 - where.boxes[:, 2])) / width,
        np.maximum(0, np.maximum(where.boxes[:, 1] - y1, y0 - where.boxes[:, 3])) / height,
    )
    order = np.argsort(gaps)
    if gaps[order[0]] < 0.02 and gaps[order[1]] > 0.12:
        text = f"the {name} next to the {other}"
        yield "relation", text, text, int(order[0])
