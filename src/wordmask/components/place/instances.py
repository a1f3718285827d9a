"""The instances of a result that words of place choose among."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wordmask.components.place.expression import Expression, Ordinal, Relation, Superlative
from wordmask.components.place.touching import split_touching, weaker_parts
from wordmask.ops.masks import components
from wordmask.results import Region

if TYPE_CHECKING:
    from wordmask.ops.masks import PackedMask
    from wordmask.results import Found, MaskLogits

__all__ = ["SCORE_RATIO", "SMALLEST_RATIO", "SURE_RATIO", "instances_of", "presumed", "score_ratio"]

SMALLEST_RATIO = 0.05
"""Connected parts smaller than this fraction of the largest are no candidates."""
SCORE_RATIO = 0.5
"""Instances whose detection score is below this fraction of the best are no candidates..."""
SURE_RATIO = 0.75
"""... and this fraction where the phrase counts or compares all instances, so that a false one moves the others."""

CLEAR_NECK, CLEAR_DEPTH = 0.3, 1.5
"""As `touching.NECK` and `DEPTH`, where enough instances were found already; tuned on training splits."""


def presumed(expression: Expression) -> int:
    """Return how many instances a phrase presumes: two where a side or an extreme is meant."""
    orders = [abs(c.number) for c in expression.constraints if isinstance(c, Ordinal)]
    if all(isinstance(c, Relation) for c in expression.constraints):
        return expression.count or 1
    return max([2, expression.count or 0, *orders])


def score_ratio(expression: Expression) -> float:
    """Return the fraction of the best detection score that an instance must reach to be chosen from."""
    counts = any(isinstance(c, Ordinal | Superlative) for c in expression.constraints)
    return SURE_RATIO if counts else SCORE_RATIO


def instances_of(found: Found, needed: int) -> tuple[list[Region], list[str]]:
    """Return the instances of a result as regions, and what was done to them in words.

    Where fewer were found than the phrase presumes, masks are taken apart into connected parts, or else at narrow
    places (`touching.split_touching`), or weaker parts are added. Where enough were found, connected parts of a dense
    map are still taken apart at clear valleys and necks.

    Args:
        found: The result for a name.
        needed: How many instances the phrase presumes (`presumed`).
    """
    if not found.present:
        return [], []
    made = found.regions or [Region(one.packed, one.score, one.mask_score) for one in found.instances]
    areas = [region.packed(found.threshold).area for region in made]
    largest, least = max(areas, default=0), 1 if found.regions else SMALLEST_RATIO * max(areas, default=0)
    regions = [region for region, area in zip(made, areas, strict=True) if area >= least]
    if not regions:
        return [], []
    if len(regions) >= needed:
        return _clearly_apart(regions, found)
    few = f"only {len(regions)} found where the phrase presumes {needed}"
    for how, divide in (("into connected parts", _connected), ("at narrow places", split_touching)):
        apart = [
            replace(region, mask=part)
            for region in regions
            for part in divide(region.packed(found.threshold), found.heatmap_logits)
        ]
        if len(apart) > len(regions):
            return apart, [f"{few}; taken apart {how}: {len(apart)}"]
    weak = _weaker(found, SMALLEST_RATIO * largest)
    if weak:
        return [*regions, *weak], [f"{few}; {len(weak)} added at a lower threshold"]
    return regions, [f"{few}; instances that touch count as one"]


def _clearly_apart(regions: list[Region], found: Found) -> tuple[list[Region], list[str]]:
    """Enough connected parts of a dense result, each taken apart where that is clear; regions of a method stay."""
    if found.regions is not None:
        return regions, []
    apart = [
        replace(region, mask=part)
        for region in regions
        for part in split_touching(region.packed(), found.heatmap_logits, neck=CLEAR_NECK, depth=CLEAR_DEPTH)
    ]
    return apart, [f"taken apart at clear valleys: {len(apart)}"] if len(apart) > len(regions) else []


def _connected(mask: PackedMask, _: MaskLogits | None) -> tuple[PackedMask, ...]:
    """The connected parts of a region's mask."""
    return components(mask, min_area_ratio=SMALLEST_RATIO)


def _weaker(found: Found, least: float) -> list[Region]:
    """Parts of a dense result at a lower threshold."""
    heat = found.heatmap_logits
    if heat is None:
        return []
    parts = weaker_parts(found.packed, heat, threshold=found.threshold, least=least)
    return [Region(part, heat.mean_probability(part)) for part in parts]
