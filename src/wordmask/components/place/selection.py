"""Selection of a result's instances by words of place, with every part of the score as candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wordmask.components.place.instances import instances_of, presumed, sure_enough
from wordmask.components.place.intended import intended
from wordmask.components.place.regions import RegionGeometry
from wordmask.results import Candidate, Found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.components.place.expression import Expression


def select(found: Found, expression: Expression, related: Mapping[Expression, Found]) -> Found:
    """Return a result with the instances that an expression means; the others become rejected candidates.

    Where fewer instances were found than the phrase presumes, masks are taken apart into connected parts, or else at
    narrow places (`touching.split_touching`), or weaker parts are added. `Found.notes` says so.

    Args:
        found: The result for the expression's name.
        expression: What the phrase says about place.
        related: Results for the things it relates to.
    """
    regions, notes = instances_of(found, presumed(expression))
    if not regions:
        return replace(found, notes=(*found.notes, f"place: {expression}: nothing to choose from"))
    kept = sure_enough([region.score for region in regions], expression)
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
