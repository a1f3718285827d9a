"""Selection of a result's instances by words of place, with every part of the score as candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wordmask.components.place.expression import Expression, Ordinal, Relation
from wordmask.components.place.intended import intended
from wordmask.components.place.regions import RegionGeometry
from wordmask.components.place.touching import split_touching, weaker_parts
from wordmask.ops.masks import components
from wordmask.results import Candidate, Found, Region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.ops.masks import PackedMask
    from wordmask.results import MaskLogits


SMALLEST_RATIO = 0.05
"""Connected parts smaller than this fraction of the largest are no candidates."""
SCORE_RATIO = 0.5
"""Instances whose detection score is below this fraction of the best are no candidates."""


def select(found: Found, expression: Expression, related: Mapping[Expression, Found]) -> Found:
    """Return a result with the instances that an expression means; the others become rejected candidates.

    Where fewer instances were found than the phrase presumes, masks are taken apart into connected parts, or else at
    narrow places (`touching.split_touching`), or weaker parts are added. `Found.notes` says so.

    Args:
        found: The result for the expression's name.
        expression: What the phrase says about place.
        related: Results for the things it relates to.
    """
    regions, notes = _regions(found, expression)
    if not regions:
        return replace(found, notes=(*found.notes, f"place: {expression}: nothing to choose from"))
    best = max(region.score for region in regions)
    kept = [i for i, region in enumerate(regions) if region.score >= SCORE_RATIO * best]
    masks = [region.packed(found.threshold) for region in regions]
    scored = intended(
        expression,
        RegionGeometry.of_masks([masks[i] for i in kept], found.size),
        [regions[i].score for i in kept],
        related={thing: _geometry(other) for thing, other in related.items()},
        evidence=_evidence([masks[i].area * regions[i].score for i in kept]),
    )
    chosen = {kept[i] for i in scored.chosen}
    parts: dict[int, dict[str, float]] = {i: {} for i in range(len(regions))}
    for row, i in enumerate(kept):
        parts[i] = {name: float(values[row]) for name, values in scored.parts.items()}
        parts[i]["place"] = float(scored.place[row])
    candidates = tuple(
        Candidate(region, {"detection": region.score, **parts[i]}, chosen=i in chosen)
        for i, region in enumerate(regions)
    )
    said = (f"place: {expression}: {len(chosen)} of {len(regions)} instances chosen", *notes, *scored.notes)
    return replace(
        found,
        heatmap_logits=None,
        regions=tuple(regions[kept[i]] for i in scored.chosen),
        candidates=candidates,
        notes=(*found.notes, *said),
    )


def _evidence(masses: list[float]) -> list[float]:
    """Areas times scores, as fractions of the largest."""
    largest = max(masses)
    return [mass / largest if largest > 0 else 1.0 for mass in masses]


def _geometry(found: Found) -> RegionGeometry:
    return RegionGeometry.of_masks([instance.packed for instance in found.instances], found.size)


def _regions(found: Found, expression: Expression) -> tuple[list[Region], list[str]]:
    """The instances as regions, and what was done to them."""
    if not found.present:
        return [], []
    made = found.regions or [Region(one.packed, one.score, one.mask_score) for one in found.instances]
    areas = [region.packed(found.threshold).area for region in made]
    largest, least = max(areas, default=0), 1 if found.regions else SMALLEST_RATIO * max(areas, default=0)
    regions = [region for region, area in zip(made, areas, strict=True) if area >= least]
    needed = _needed(expression)
    if not regions or len(regions) >= needed:
        return regions, []
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


def _needed(expression: Expression) -> int:
    """How many instances a phrase presumes."""
    orders = [abs(c.number) for c in expression.constraints if isinstance(c, Ordinal)]
    if all(isinstance(c, Relation) for c in expression.constraints):
        return expression.count or 1
    return max([2, expression.count or 0, *orders])
