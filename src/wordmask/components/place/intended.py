"""The choice among regions by what a phrase says about place.

Every constraint gives each region a value in [0, 1]; their geometric mean is the region's place score. Sides count by
position among the candidates (the leftmost has 1, the rightmost 0), ordinals by rank, superlatives by ratio, relations
by the geometry of boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wordmask.components.place.expression import Expression, Ordinal, Relation, Side, Superlative
from wordmask.components.place.relations import relation_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wordmask.components.place.expression import Constraint
    from wordmask.components.place.regions import RegionGeometry

MARGIN = 0.5
"""Regions are candidates whose score is above the lowest by at least this fraction of the range of scores..."""
FLOOR = 0.01
"""Lowest value of a constraint: none excludes a region by itself."""
EVIDENCE = 0.3
"""Exponent of the evidence of a region, tuned on the training splits of the data sets in `benchmarks/place.py`."""
_RANK_DECAY = 2.0


@dataclass(frozen=True, eq=False)
class Scored:
    """Regions with their values of place.

    Attributes:
        chosen: Positions of the regions that the phrase means, the best first; () where there are no regions.
        place: float64 `(N,)`, the geometric mean of the constraints' values; 0 where a region is no candidate.
        parts: For each constraint, as text, its values float64 `(N,)`.
        notes: What a reader should know: constraints that could not be applied.
    """

    chosen: tuple[int, ...]
    place: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def intended(
    expression: Expression,
    regions: RegionGeometry,
    scores: Sequence[float] | NDArray[np.floating],
    *,
    related: Mapping[Expression, RegionGeometry] | None = None,
    margin: float | None = None,
    depth: Sequence[float] | None = None,
    evidence: Sequence[float] | None = None,
) -> Scored:
    """Choose the regions that an expression means.

    Args:
        expression: What `parse` read; only its constraints, count and plural matter here.
        regions: Where the N regions are.
        scores: How well each fits the name, in any unit.
        related: Where the expression's related things are, by thing (`Expression.related`); a relation to a thing that
            is missing here, or has no region, is left out and noted.
        margin: For regions of unknown kind: candidates are those whose score is within this fraction of the range
            below the best. None takes all regions as candidates.
        evidence: How sure it is that each is there at all, in (0, 1]; a place score is multiplied by its power
            `EVIDENCE`, so that a small fragment at the very edge does not win.
        depth: Distance of each region from the camera; None estimates it: what stands lower and is larger is nearer.

    Returns:
        The choice. With scores that are no numbers, or all equal, the first of the best places is chosen.
    """
    values = np.nan_to_num(np.asarray(scores, dtype=np.float64).reshape(-1), nan=-np.inf, posinf=1e300, neginf=-1e300)
    if not len(regions):
        return Scored((), np.zeros(0))
    among = _candidates(values, margin)
    inside = regions.take(among)
    known = related or {}
    parts: dict[str, NDArray[np.float64]] = {}
    notes: list[str] = []
    for constraint in expression.constraints:
        part = _values(constraint, inside, known, None if depth is None else np.asarray(depth)[among], notes)
        if part is not None:
            whole = np.zeros(len(regions))
            whole[among] = part
            parts[str(constraint)] = whole
    place = np.zeros(len(regions))
    place[among] = _mean([part[among] for part in parts.values()], len(among))
    if evidence is not None:
        parts["evidence"] = np.asarray(evidence, dtype=np.float64).reshape(-1)
        place *= parts["evidence"] ** EVIDENCE
    chosen = _chosen(expression, place, values, among, parts)
    return Scored(chosen, place, parts, tuple(notes))


def _candidates(values: NDArray[np.float64], margin: float | None) -> list[int]:
    if margin is None:
        return list(range(len(values)))
    high, low = float(values.max()), float(values.min())
    return [int(i) for i in np.flatnonzero(values >= high - margin * (high - low))]


def _mean(parts: list[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """Geometric mean of values, each at least `FLOOR`; 1 without any."""
    if not parts:
        return np.ones(count)
    logs = np.log(np.clip(np.stack(parts), FLOOR, 1.0))
    mean: NDArray[np.float64] = np.exp(logs.mean(axis=0))
    return mean


def _chosen(
    expression: Expression, place: NDArray[np.float64], values: NDArray[np.float64], among: list[int],
    parts: dict[str, NDArray[np.float64]],
) -> tuple[int, ...]:  # fmt: skip
    ranked = sorted(among, key=lambda i: (-round(float(place[i]), 9), -values[i], i))
    if expression.meant is not None:
        return tuple(ranked[: expression.meant])
    said = {name: part for name, part in parts.items() if name != "evidence"}
    least = {name: _least(name, float(part.max()), expression) for name, part in said.items()}
    enough = [i for i in ranked if all(part[i] >= least[name] for name, part in said.items())]
    return tuple(enough or ranked[:1])


def _least(name: str, highest: float, expression: Expression) -> float:
    """The value from which a constraint holds, where all things that fit are meant."""
    relations = {str(c) for c in expression.constraints if isinstance(c, Relation) and not c.negated}
    return 0.5 * highest if name in relations else 0.5


def _values(
    constraint: Constraint, regions: RegionGeometry, related: Mapping[Expression, RegionGeometry],
    depth: NDArray[np.float64] | None, notes: list[str],
) -> NDArray[np.float64] | None:  # fmt: skip
    """Values (n,) of a constraint; None, with a note, where it cannot be applied."""
    if isinstance(constraint, Relation):
        things = [related.get(thing) for thing in constraint.things]
        missing = [
            t.name for t, where in zip(constraint.things, things, strict=True) if where is None or not len(where)
        ]
        if missing and not constraint.negated:
            notes.append(f"{constraint}: {' and '.join(map(repr, missing))} not found, left out")
            return None
        found = [where for where in things if where is not None and len(where)]
        values = relation_values(constraint, regions, found) if found else np.zeros(len(regions))
    elif isinstance(constraint, Side):
        values = _side(constraint, regions, depth)
    elif isinstance(constraint, Ordinal):
        if abs(constraint.number) > len(regions):
            notes.append(f"{constraint}: only {len(regions)} found, the nearest in order is taken")
        values = _ordinal(constraint, regions, depth)
    else:
        values = _superlative(constraint, regions, depth)
    return 1 - values if constraint.negated else values


def distances(regions: RegionGeometry, depth: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return distances from the camera (n,), in [0, 1] where estimated: small and high in the image is far.

    Args:
        regions: Where n regions are.
        depth: Known distances, returned as they are.
    """
    if depth is not None:
        return np.asarray(depth, dtype=np.float64)
    height, width = regions.size
    low = regions.boxes[:, 3] / height
    large = np.sqrt(regions.areas / (height * width)).clip(0, 1)
    far: NDArray[np.float64] = 1 - 0.5 * low - 0.5 * large
    return far


def _coordinate(side: str, regions: RegionGeometry, depth: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """A coordinate (n,) that is smallest at a side."""
    if side in ("left", "right"):
        across = regions.centres[:, 0]
        return across if side == "left" else -across
    if side in ("top", "bottom"):
        down = regions.centres[:, 1]
        return down if side == "top" else -down
    if side in ("front", "back"):
        far = distances(regions, depth)
        return far if side == "front" else -far
    return -_middle(regions) if side == "middle" else -_corner(regions)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values scaled to [0, 1], 1 for the smallest; 1 where all are equal."""
    low, high = float(values.min()), float(values.max())
    return np.ones(len(values)) if high - low < 1e-9 else (high - values) / (high - low)


def _side(constraint: Side, regions: RegionGeometry, depth: NDArray[np.float64] | None) -> NDArray[np.float64]:
    side, (height, width) = constraint.side, regions.size
    if side == "middle":
        return _middle(regions, of_image=constraint.of_image)
    if side == "corner":
        return _corner(regions)
    among = _unit(_coordinate(side, regions, depth))
    if side in ("front", "back"):
        return among
    across, down = regions.centres[:, 0] / width, regions.centres[:, 1] / height
    absolute = {"left": 1 - across, "right": across, "top": 1 - down, "bottom": down}[side]
    weight = 0.75 if constraint.of_image or len(regions) == 1 else 0.25
    mixed: NDArray[np.float64] = weight * absolute + (1 - weight) * among
    return mixed


def _middle(regions: RegionGeometry, *, of_image: bool = False) -> NDArray[np.float64]:
    """Nearness (n,) to the middle: of three and more candidates in a row or column, otherwise of the image."""
    height, width = regions.size
    image = 1 - np.hypot(*((regions.centres / (width, height) - 0.5) * 2).T) / np.sqrt(2)
    if of_image or len(regions) < 3:
        return np.asarray(image, dtype=np.float64)
    axis = int(np.argmax(np.ptp(regions.centres, axis=0)))
    ranks = np.argsort(np.argsort(regions.centres[:, axis], kind="stable"), kind="stable")
    central = 1 - np.abs(ranks - (len(regions) - 1) / 2) / ((len(regions) - 1) / 2)
    mixed: NDArray[np.float64] = 0.75 * central + 0.25 * image
    return mixed


def _corner(regions: RegionGeometry) -> NDArray[np.float64]:
    """Nearness (n,) to the nearest corner of the image."""
    height, width = regions.size
    away = np.abs(regions.centres / (width, height) - 0.5) * 2  # 1 at the edges
    near: NDArray[np.float64] = 1 - np.hypot(*(1 - away).T) / np.sqrt(2)
    return near


def _ordinal(constraint: Ordinal, regions: RegionGeometry, depth: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Values that fall with the distance from the rank that is meant."""
    order = np.argsort(_coordinate(constraint.side, regions, depth), kind="stable")
    ranks = np.empty(len(regions))
    ranks[order] = np.arange(len(regions))
    number = constraint.number
    wanted = number - 1 if number > 0 else len(regions) + number
    wanted = min(max(wanted, 0), len(regions) - 1)
    away: NDArray[np.float64] = np.exp(-_RANK_DECAY * np.abs(ranks - wanted))
    return away


def _superlative(
    constraint: Superlative, regions: RegionGeometry, depth: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    measure = constraint.measure
    if measure == "distance":
        values = distances(regions, depth)
    elif measure == "size":
        values = np.sqrt(regions.areas)
    elif measure == "length":
        values = np.maximum(regions.widths, regions.heights)
    else:
        values = regions.heights if measure == "height" else regions.widths
    along = -values if constraint.most else values
    if constraint.rank > 1:
        ranks = np.argsort(np.argsort(along, kind="stable"), kind="stable")
        wanted = min(constraint.rank, len(regions)) - 1
        return np.asarray(np.exp(-_RANK_DECAY * np.abs(ranks - wanted)), dtype=np.float64)
    if measure == "distance":
        return _unit(along)
    safe = np.maximum(values, 1e-9)
    ratio: NDArray[np.float64] = safe / safe.max() if constraint.most else safe.min() / safe
    return ratio
