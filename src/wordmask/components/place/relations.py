"""Geometry of relations between regions: how well "next to", "above", "between" and others hold, from boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wordmask.components.place.expression import SUBJECT, Relation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.components.place.regions import RegionGeometry

Values: TypeAlias = "NDArray[Any]"
"""float64 `(n,)` or `(n, m)`."""
SAME = 0.7
"""IoU of boxes above which two regions are one thing, which is not next to itself."""
_MIRRORED = {"left_of": "right_of", "right_of": "left_of"}


def relation_values(relation: Relation, regions: RegionGeometry, things: Sequence[RegionGeometry]) -> Values:
    """Return how well a relation holds for each region, float64 `(n,)` in [0, 1].

    Args:
        relation: The relation; its negation is the caller's.
        regions: Where n regions are.
        things: Where the related things are; of several regions of one thing the best counts.
    """
    if relation.kind == "between":
        return _between(regions, things)
    kind = _MIRRORED.get(relation.kind, relation.kind) if relation.frame == SUBJECT else relation.kind
    each = [_pairwise(kind, regions, thing) for thing in things]
    values = [pairs.max(axis=1) for pairs in each]
    product: Values = np.prod(values, axis=0) ** (1 / len(values))
    return product


def _pairwise(kind: str, first: RegionGeometry, second: RegionGeometry) -> Values:
    """Values (n, m) of a relation between n and m regions; 0 between a region and itself."""
    pair = _Pairs(first, second)
    values = _RULES[kind](pair)
    return np.where(pair.same, 0.0, np.clip(values, 0.0, 1.0))


def _values(array: Any) -> Values:
    """An array, typed."""
    return np.asarray(array, dtype=np.float64)


class _Pairs:
    """Distances and overlaps of n times m boxes; lengths in units of the two boxes' mean side."""

    def __init__(self, first: RegionGeometry, second: RegionGeometry) -> None:
        a, b = first.boxes[:, None], second.boxes[None]
        self.wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])  # negative: a gap
        self.high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
        self.joint = self.wide.clip(min=0) * self.high.clip(min=0)
        sizes = np.stack([(box[..., 2:] - box[..., :2]).clip(min=1e-6) for box in (a + 0 * b, b + 0 * a)])
        self.widths, self.heights = sizes[..., 0], sizes[..., 1]  # (2, n, m)
        self.areas = self.widths * self.heights
        self.unit = np.sqrt(self.areas).mean(axis=0)
        self.gap = np.hypot(-self.wide.clip(max=0), -self.high.clip(max=0)) / self.unit
        shift = first.centres[:, None] - second.centres[None]
        self.across, self.down = shift[..., 0] / self.unit, shift[..., 1] / self.unit
        self.lower = (a[..., 3] - b[..., 3]) / self.unit  # positive: the first stands lower in the image
        self.bottom_inside = (b[..., 3] - a[..., 3]) / self.heights[1]  # 0 at the second's lower edge, 1 at its upper
        self.same = self.joint / (self.areas.sum(axis=0) - self.joint) > SAME

    @property
    def near(self) -> Values:
        """1 where boxes touch, falling with the gap between them."""
        near: Values = np.exp(-self.gap) * (1 - 0.1 * np.tanh(np.hypot(self.across, self.down) / 4))
        return near

    @property
    def same_column(self) -> Values:
        """Horizontal overlap as a fraction of the narrower box, falling with the gap where there is none."""
        narrow = self.widths.min(axis=0)
        return _values(np.where(self.wide > 0, self.wide / narrow, np.exp(self.wide / self.unit) * 0.3).clip(0, 1))

    @property
    def same_row(self) -> Values:
        """The same for rows."""
        short = self.heights.min(axis=0)
        return _values(np.where(self.high > 0, self.high / short, np.exp(self.high / self.unit) * 0.3).clip(0, 1))


def _ramp(values: Values) -> Values:
    """0 for negative numbers, rising to 1 at half a unit."""
    ramp: Values = np.clip(values * 2, 0.0, 1.0)
    return ramp


def _left_of(pair: _Pairs) -> Values:
    return _values(_ramp(-pair.across) * (0.4 + 0.6 * pair.same_row) * (0.3 + 0.7 * pair.near))


def _right_of(pair: _Pairs) -> Values:
    return _values(_ramp(pair.across) * (0.4 + 0.6 * pair.same_row) * (0.3 + 0.7 * pair.near))


def _above(pair: _Pairs) -> Values:
    return _values(_ramp(-pair.down) * (0.2 + 0.8 * pair.same_column) * (0.3 + 0.7 * pair.near))


def _below(pair: _Pairs) -> Values:
    return _values(_ramp(pair.down) * (0.2 + 0.8 * pair.same_column) * (0.3 + 0.7 * pair.near))


def _on(pair: _Pairs) -> Values:
    """Its lower edge lies on or over the other, and it does not hang out of it downwards."""
    stands = np.where(pair.bottom_inside >= -0.05, 1.0, np.exp(pair.bottom_inside * 4))
    touches = np.exp(-4 * pair.gap)
    return _values(stands * touches * (0.2 + 0.8 * pair.same_column) * np.where(pair.down < 0.5, 1.0, 0.6))


def _inside(pair: _Pairs) -> Values:
    return _values(pair.joint / pair.areas[0])


def _in_front(pair: _Pairs) -> Values:
    return _values(_ramp(pair.lower + 0.1) * (0.3 + 0.7 * pair.near) * (0.4 + 0.6 * pair.same_column))


def _behind(pair: _Pairs) -> Values:
    return _values(_ramp(0.1 - pair.lower) * (0.3 + 0.7 * pair.near) * (0.4 + 0.6 * pair.same_column))


def _with(pair: _Pairs) -> Values:
    """The other thing lies in the region's box or touches it."""
    return _values(np.maximum(pair.joint / pair.areas[1], 0.5 * np.exp(-8 * pair.gap) * (pair.gap > 0)))


def _closest(pair: _Pairs) -> Values:
    return pair.near


def _farthest(pair: _Pairs) -> Values:
    return _values(1 - pair.near)


_RULES = {
    "next_to": _closest, "closest_to": _closest, "farthest_from": _farthest, "left_of": _left_of,
    "right_of": _right_of, "above": _above, "below": _below, "on": _on, "inside": _inside, "in_front_of": _in_front,
    "behind": _behind, "with": _with,
}  # fmt: skip


def _between(regions: RegionGeometry, things: Sequence[RegionGeometry]) -> Values:
    """Nearness of centres to the middle of the line between two things, or two regions of one thing."""
    pairs = [(a, b) for a in things[0].centres for b in things[1].centres] if len(things) > 1 else []
    if len(things) == 1:
        centres = things[0].centres
        pairs = [(centres[i], centres[j]) for i in range(len(centres)) for j in range(i)]
    best = np.zeros(len(regions))
    for a, b in pairs:
        line = b - a
        length = float(np.hypot(*line))
        if length < 1e-6:
            continue
        shift = regions.centres - a
        along = shift @ line / length**2  # 0 at one thing, 1 at the other
        aside = np.abs(shift[:, 0] * line[1] - shift[:, 1] * line[0]) / length**2
        value = np.clip(1 - np.abs(along - 0.5) * 1.6, 0, 1) * np.exp(-2 * aside)
        best = np.maximum(best, np.where((along > 0) & (along < 1), value, 0))
    return best if pairs else _beside_the_only(regions, things)


def _beside_the_only(regions: RegionGeometry, things: Sequence[RegionGeometry]) -> Values:
    """Nearness to the only region of the thing, where two were meant and one was found."""
    return _values(_pairwise("next_to", regions, things[0]).max(axis=1))
