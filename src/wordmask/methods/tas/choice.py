"""The choice of regions: the best score, or the best one that words of place allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wordmask.components.place import RegionGeometry, intended, released
from wordmask.components.place.instances import WEAK_RATIO, sure_enough
from wordmask.methods.tas.scores import best_index
from wordmask.ops.masks import intersection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wordmask.components.place import DependencyTree, Expression
    from wordmask.methods.tas.regions import RegionSet
    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask

__all__ = ["Choice", "by_place", "by_released_rule", "by_score", "distinct"]

INSIDE = 0.5
"""A region is no further instance where more than this part of the smaller one lies in a better region."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Which of N regions are meant.

    Attributes:
        chosen: Their indices, the best first.
        parts: Values of place by constraint, float64 (N,).
        notes: What could not be applied.
    """

    chosen: tuple[int, ...]
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def by_score(scores: NDArray[np.float64]) -> Choice:
    """Choose the best score."""
    return Choice((best_index(scores),) if len(scores) else ())


def by_released_rule(scores: NDArray[np.float64], masks: Sequence[PackedMask], tree: DependencyTree) -> Choice:
    """Choose by the rectifier of the authors' code (`components.place.released`)."""
    if not len(scores):
        return Choice(())
    geometry = RegionGeometry.of_masks(masks, masks[0].size)
    rows = [(int(y - 0.5), int(x - 0.5)) for x, y in geometry.centres]  # means of pixel indices, cut to integers
    return Choice((released(tree, scores.tolist(), rows),))


def by_place(
    expression: Expression,
    scores: NDArray[np.float64],
    regions: RegionSet,
    size: Size,
    *,
    margin: float,
    related: Mapping[Expression, RegionGeometry] | None = None,
) -> Choice:
    """Choose by what an expression says about place, among distinct regions that fit the name.

    These are the instances that the model found for the name itself or, where it found none, the regions whose score is
    near the best.

    Args:
        expression: The expression.
        scores: How well each region fits its name.
        regions: The regions.
        size: `(H, W)` of the image.
        margin: Candidates are the regions whose score is within this distance of the best.
        related: Where the related things are.
    """
    if not len(scores):
        return Choice(())
    masks = regions.masks
    among, evidence = _instances(regions, expression) if regions.found else (_near(scores, masks, margin), None)
    geometry = RegionGeometry.of_masks([masks[index] for index in among], size)
    values = [regions.quality[index] for index in among] if regions.found else scores[among]
    found = intended(expression, geometry, values, related=related, evidence=evidence)
    parts = {name: _spread(part, among, len(scores)) for name, part in found.parts.items()}
    return Choice(tuple(among[index] for index in found.chosen), parts, found.notes)


def _instances(regions: RegionSet, expression: Expression) -> tuple[list[int], list[float]]:
    """Instances of the name that are neither much smaller nor much less certain than the best, and their evidence."""
    masks, quality = regions.masks[: regions.found], regions.quality[: regions.found]
    largest = max(mask.area for mask in masks)
    kept = [index for index in sure_enough(quality, expression) if masks[index].area >= WEAK_RATIO * largest]
    masses = [masks[index].area * quality[index] for index in kept]
    return kept, [mass / max(masses) if max(masses) > 0 else 1.0 for mass in masses]


def _near(scores: NDArray[np.float64], masks: Sequence[PackedMask], margin: float) -> list[int]:
    """Distinct regions whose score is near the best, the best first."""
    order = np.argsort(-scores, kind="stable").tolist()
    near = [index for index in order if scores[index] >= scores.max() - margin]
    return [near[row] for row in distinct([masks[index] for index in near])]


def distinct(masks: Sequence[PackedMask]) -> list[int]:
    """Return the indices of masks that are not, for the most part, inside an earlier one or around it."""
    kept: list[int] = []
    for index, mask in enumerate(masks):
        overlaps = (intersection(mask, masks[other]) / max(1, min(mask.area, masks[other].area)) for other in kept)
        if all(overlap <= INSIDE for overlap in overlaps):
            kept.append(index)
    return kept


def _spread(values: NDArray[np.float64], among: Sequence[int], count: int) -> NDArray[np.float64]:
    whole = np.zeros(count)
    whole[list(among)] = values
    return whole
