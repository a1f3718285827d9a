"""The instances of a result that words of place choose among."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wordmask.components.place.expression import Expression, Ordinal, Relation, Side, Superlative
from wordmask.components.place.touching import split_touching, weaker_parts
from wordmask.ops.masks import components, union
from wordmask.results import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.ops.masks import PackedMask
    from wordmask.results import Found, MaskLogits

__all__ = ["NOTHING_PRESUMED", "SMALLEST_RATIO", "WEAK_RATIO", "Presumed", "instances_of", "presumed", "sure_enough"]

SMALLEST_RATIO = 0.05
"""Connected parts smaller than this fraction of the largest are no candidates."""
WEAK_RATIO = 0.02
"""The same for weaker parts that are added where a phrase only tells sides."""
SCORE_RATIO = 0.5
"""Instances whose detection score is below this fraction of the best are no candidates..."""
SURE_RATIO = 0.75
"""... and this fraction where the phrase counts or compares all instances, so that a false one moves the others..."""
PRESUMED_RATIO = 0.1
"""... but this one as long as there are fewer than the phrase presumes, and where it only tells sides."""
LEVELS = (0.85, 0.7, 0.5)
"""Fractions of a mask's threshold at which weaker parts are looked for where a phrase only tells sides."""
BESIDE = 0.5
"""Pieces of one mask that overlap along a side by more than this part of the narrower are not told apart by it."""

CLEAR_NECK, CLEAR_DEPTH = 0.3, 1.5
"""As `touching.NECK` and `DEPTH`, where enough instances were found already; tuned on training splits."""
_AXES = {"left": 0, "right": 0, "top": 1, "bottom": 1}


@dataclass(frozen=True)
class Presumed:
    """What a phrase presumes of the instances that it chooses from.

    Attributes:
        count: How many there are at least.
        sides: Whether it only tells sides. A false instance then matters little unless it lies at that side, so that
            those of which the method is less sure are candidates.
        axis: 0 where it tells left from right, 1 where it tells top from bottom, otherwise None.
    """

    count: int = 1
    sides: bool = False
    axis: int | None = None


NOTHING_PRESUMED = Presumed()


def presumed(expression: Expression) -> Presumed:
    """Return what a phrase presumes: two instances where a side or an extreme is meant."""
    constraints = expression.constraints
    orders = [abs(c.number) for c in constraints if isinstance(c, Ordinal)]
    if all(isinstance(c, Relation) for c in constraints):
        return Presumed(expression.count or 1)
    axes = {_AXES.get(c.side) for c in constraints if isinstance(c, Side | Ordinal)}
    sides = all(isinstance(c, Side) and c.side in _AXES for c in constraints) and expression.meant == 1
    return Presumed(max([2, expression.count or 0, *orders]), sides, axes.pop() if len(axes) == 1 else None)


def sure_enough(scores: Sequence[float], expression: Expression) -> list[int]:
    """Return the positions of instances whose detection scores are near enough to the best to be chosen from."""
    said = presumed(expression)
    counts = any(isinstance(c, Ordinal | Superlative) for c in expression.constraints)
    ratio = PRESUMED_RATIO if said.sides else SURE_RATIO if counts else SCORE_RATIO
    best = max(scores, default=0.0)
    ranked = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    first = [row for row in ranked[: said.count] if scores[row] >= PRESUMED_RATIO * best]
    return sorted({row for row in ranked if scores[row] >= ratio * best} | set(first if said.count > 1 else ()))


def instances_of(found: Found, needed: Presumed) -> tuple[list[Region], list[str]]:
    """Return the instances of a result as regions, and what was done to them in words.

    Where fewer were found than the phrase presumes, masks are taken apart into connected parts, or else at narrow
    places (`touching.split_touching`), or weaker parts are added. Where enough were found, connected parts of a dense
    map are still taken apart at clear valleys and necks. Phrases that only tell sides also choose from weaker parts.

    Args:
        found: The result for a name.
        needed: What the phrase presumes (`presumed`).
    """
    if not found.present:
        return [], []
    made = found.regions or [Region(one.packed, one.score, one.mask_score) for one in found.instances]
    areas = [region.packed(found.threshold).area for region in made]
    largest, least = max(areas, default=0), 1 if found.regions else SMALLEST_RATIO * max(areas, default=0)
    regions = [region for region, area in zip(made, areas, strict=True) if area >= least]
    if not regions:
        return [], []
    regions, notes = (
        _clearly_apart(regions, found, needed)
        if len(regions) >= needed.count
        else _more(regions, found, needed, largest)
    )
    if needed.sides:
        weak = _weaker(found, regions, WEAK_RATIO * largest, LEVELS)
        notes += [f"{len(weak)} added at lower thresholds"] if weak else []
        regions = [*regions, *weak]
    return regions, notes


def _more(regions: list[Region], found: Found, needed: Presumed, largest: int) -> tuple[list[Region], list[str]]:
    """More instances of a result with fewer than the phrase presumes."""
    few = f"only {len(regions)} found where the phrase presumes {needed.count}"
    for how, divide in (("into connected parts", _connected), ("at narrow places", split_touching)):
        apart = [
            replace(region, mask=part)
            for region in regions
            for part in _told_apart(divide(region.packed(found.threshold), found.heatmap_logits), needed.axis)
        ]
        if len(apart) > len(regions):
            return apart, [f"{few}; taken apart {how}: {len(apart)}"]
    weak = [] if needed.sides else _weaker(found, regions, SMALLEST_RATIO * largest)
    if weak:
        return [*regions, *weak], [f"{few}; {len(weak)} added at a lower threshold"]
    return regions, [f"{few}; instances that touch count as one"]


def _told_apart(parts: Sequence[PackedMask], axis: int | None) -> Sequence[PackedMask]:
    """Pieces of one mask; those above each other are one where the phrase tells left from right."""
    if axis is None:
        return parts
    groups: list[list[PackedMask]] = []
    for part in parts:
        near = [group for group in groups if any(_beside(part, other, axis) for other in group)]
        groups = [group for group in groups if group not in near] + [[part, *(one for group in near for one in group)]]
    return [union(group) for group in groups]


def _beside(one: PackedMask, other: PackedMask, axis: int) -> bool:
    """Whether two masks overlap along a side by more than `BESIDE` of the narrower."""
    (low, high), (start, end) = ((mask.window[axis], mask.window[axis + 2]) for mask in (one, other))
    return min(high, end) - max(low, start) > BESIDE * min(high - low, end - start)


def _clearly_apart(regions: list[Region], found: Found, needed: Presumed) -> tuple[list[Region], list[str]]:
    """Enough connected parts of a dense result, each taken apart where that is clear; regions of a method stay."""
    if found.regions is not None:
        return regions, []
    apart = [
        replace(region, mask=part)
        for region in regions
        for part in _told_apart(
            split_touching(region.packed(), found.heatmap_logits, neck=CLEAR_NECK, depth=CLEAR_DEPTH), needed.axis
        )
    ]
    return apart, [f"taken apart at clear valleys: {len(apart)}"] if len(apart) > len(regions) else []


def _connected(mask: PackedMask, _: MaskLogits | None) -> tuple[PackedMask, ...]:
    """The connected parts of a region's mask."""
    return components(mask, min_area_ratio=SMALLEST_RATIO)


def _weaker(found: Found, regions: Sequence[Region], least: float, levels: Sequence[float] = (0.7,)) -> list[Region]:
    """Parts of a dense result at lower thresholds that lie apart from those found and from each other.

    Their scores are mean probabilities, in the unit of the scores of the regions that were found.
    """
    heat = found.heatmap_logits
    if heat is None:
        return []
    taken = union([found.packed, *(region.packed(found.threshold) for region in regions)])
    weak: list[PackedMask] = []
    for level in levels:
        parts = weaker_parts(taken, heat, threshold=level * found.threshold, least=least)
        weak += parts
        taken = union([taken, *parts])
    best = max(regions, key=lambda region: region.score)
    unit = best.score / max(heat.mean_probability(best.packed(found.threshold)), 1e-6)
    return [Region(part, unit * heat.mean_probability(part)) for part in weak]
