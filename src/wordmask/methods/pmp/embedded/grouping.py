"""Group the cells of a mask by the centres that they point to (Panoptic-DeepLab, arXiv 1911.10194, section 3.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from wordmask.ops.probability import logit, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.methods.pmp.embedded.settings import ProposalSettings

    Floats = NDArray[np.float32]

__all__ = ["SCORE_INPUTS", "CellMaps", "Grouped", "group_cells", "score_inputs"]

FAR = np.float32(20.0)
"""Logit of a cell that certainly belongs to a group."""
STEEP = np.float32(8.0)
"""Factor from the difference of two distances to a logit."""
MOST = 100
"""Centres of a prompt, at most."""
NEAR = 0.7
"""Centres nearer to one another than this fraction of the sides of their instance are one."""

SAMPLE = 200
"""Cells of a group whose votes are compared."""
APART = 0.6
"""Groups stay apart where their cells' boxes fit one box less than this fraction as well as one box each."""
SCORE_INPUTS = 9
"""Numbers from which the expected IoU of a group is computed."""


class CellMaps(NamedTuple):
    """Maps of one prompt at stride 4.

    Attributes:
        offsets: float32 `(2, h, w)`, x and y to the centre of the cell's instance, in cells.
        sizes: float32 `(2, h, w)`, logarithms of width and height of its box, in cells.
        heat: float32 `(h, w)`, logits that the cell is a centre.
    """

    offsets: Floats
    sizes: Floats
    heat: Floats


class Grouped(NamedTuple):
    """A group of cells.

    Attributes:
        logits: float32 `(h, w)`, above 0 inside.
        heat: Probability of its centre; 0 of a connected part whose cells point to no centre.
        spread: Mean distance of its cells' votes from the centre, in sides of the instance.
        box_iou: IoU of its bounding box and the box that its cells vote for.
        fill: Fraction of its bounding box that it covers.
    """

    logits: Floats
    heat: float
    spread: float
    box_iou: float
    fill: float


def group_cells(mask: Floats, maps: CellMaps, settings: ProposalSettings) -> list[Grouped]:
    """Divide a mask into the groups of its cells' centres.

    Args:
        mask: float32 `(h, w)`, logits above 0 inside.
        maps: Of the same prompt.
        settings: Thresholds.
    """
    inside = mask > 0
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return []
    sizes = np.exp(np.minimum(maps.sizes[:, rows, columns], 6.0)).T  # (N, 2)
    votes = maps.offsets[:, rows, columns].T + np.stack([columns, rows], 1) + np.float32(0.5)
    centres, heats = _centres(maps, settings.least_heat, _box(np.stack([columns, rows], 1)))
    distances = _distances(votes, sizes, centres)  # (N, K)
    number, labels = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    parts = labels[rows, columns] - 1
    distances, heats = _with_lone_parts(distances, heats, parts, number - 1, settings.reach)
    kept = _supported(distances, max(2.0, settings.least_area * len(rows)))
    distances, heats = distances[:, kept], heats[kept]
    voted = np.concatenate([votes - sizes / 2, votes + sizes / 2], 1)
    distances, heats = _merged(distances, heats, voted, np.stack([columns, rows], 1))
    owners = distances.argmin(1)
    found = []
    for index in range(len(heats)):
        mine = owners == index
        if mine.any():
            logits = mask.copy()
            if len(heats) > 1:
                rival = np.delete(distances, index, 1).min(1)
                claim = STEEP * (rival - distances[:, index])
                logits[rows, columns] = np.minimum(mask[rows, columns], np.where(mine, np.maximum(claim, 1e-3), claim))
            found.append(
                _grouped(
                    logits,
                    float(heats[index]),
                    distances[mine, index],
                    votes[mine],
                    sizes[mine],
                    rows[mine],
                    columns[mine],
                )
            )
    return found


def score_inputs(groups: list[Grouped], mask: Floats, presence: float) -> Floats:
    """Return float32 `(N, SCORE_INPUTS)`: what the expected IoU of the groups of a mask is computed from.

    Args:
        groups: Of the mask, at least one.
        mask: float32 `(h, w)`, logits above 0 inside.
        presence: Probability that the image shows the prompt.
    """
    rows = []
    for group in groups:
        inside = group.logits > 0
        rows.append([
            logit(min(max(presence, 1e-4), 1 - 1e-4)),
            float(mask[inside].mean()) if inside.any() else 0.0,
            logit(min(max(group.heat, 0.01), 0.99)),
            float(group.heat == 0),
            group.spread,
            group.box_iou,
            math.log((int(inside.sum()) + 1) / mask.size),
            math.log(len(groups)),
            group.fill,
        ])  # fmt: skip
    return np.array(rows, np.float32)


def _centres(maps: CellMaps, least: float, box: Floats) -> tuple[Floats, Floats]:
    """Centres `(K, 2)` in a box, in cells, x and y, and their probabilities `(K,)`, the most probable first."""
    left, top, right, bottom = (int(side) for side in box)
    heat = np.ascontiguousarray(maps.heat[top:bottom, left:right])
    rows, columns = np.nonzero((heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat > logit(least)))
    rows, columns = rows + top, columns + left
    order = np.argsort(-maps.heat[rows, columns], kind="stable")[:MOST]
    rows, columns = rows[order], columns[order]
    centres = np.stack([columns, rows], 1).astype(np.float32) + np.float32(0.5)
    extents = np.exp(np.minimum(maps.sizes[:, rows, columns], 6.0)).T
    near = (np.abs(centres[:, None] - centres) / extents[:, None]).max(2) <= NEAR  # (K, K)
    first = np.zeros(len(centres), np.bool_)
    for index in range(len(centres)):
        first[index] = not near[index, first].any()
    kept = np.flatnonzero(first)
    return centres[kept], sigmoid(maps.heat[rows[kept], columns[kept]])


def _distances(votes: Floats, sizes: Floats, centres: Floats) -> Floats:
    """Distances `(N, K)` of votes from centres, in sides of the voter's instance."""
    apart = (votes[:, None] - centres[None]) / np.maximum(sizes[:, None], 1.0)
    result: Floats = np.sqrt((apart**2).sum(-1)).astype(np.float32)
    return result


def _with_lone_parts(
    distances: Floats, heats: Floats, parts: NDArray[Any], number: int, reach: float
) -> tuple[Floats, Floats]:
    """Distances and heats with a further column for every connected part most of whose cells point to no centre."""
    nearest = distances.min(1, initial=np.inf)
    sizes = np.bincount(parts, minlength=number)
    near = np.bincount(parts, nearest <= reach, minlength=number)
    alone = [p for p in range(number) if near[p] < 0.5 * sizes[p] and sizes[p] >= 0.02 * sizes.max()]
    if not alone:
        return distances, heats
    own = np.where(parts[:, None] == np.array(alone), np.float32(0.0), FAR)
    distances = np.where(np.isin(parts, alone)[:, None], FAR, distances)
    return np.concatenate([distances, own], 1), np.concatenate([heats, np.zeros(len(alone), np.float32)])


def _supported(distances: Floats, least: float) -> NDArray[np.int64]:
    """Indices of the groups that keep enough cells, the smallest being dropped first."""
    kept = np.arange(distances.shape[1])
    while len(kept) > 1:
        counts = np.bincount(distances[:, kept].argmin(1), minlength=len(kept))
        if counts.min() >= least:
            break
        empty = counts == 0
        kept = kept[~empty] if empty.any() else np.delete(kept, int(counts.argmin()))
    return kept


def _merged(distances: Floats, heats: Floats, voted: Floats, cells: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Distances and heats after groups are joined wherever their cells' boxes agree better with the box of both.

    Args:
        distances: `(N, K)`.
        heats: `(K,)`.
        voted: Boxes XYXY that the cells vote for `(N, 4)`.
        cells: x and y of the cells `(N, 2)`.
    """
    if len(heats) < 2:
        return distances, heats
    owners = distances.argmin(1)
    groups = {k: np.flatnonzero(owners == k) for k in range(len(heats))}
    groups = {k: members for k, members in groups.items() if len(members)}
    boxes = {k: _box(cells[members]) for k, members in groups.items()}
    fits = {k: _fit(voted[members], boxes[k]) for k, members in groups.items()}
    joined = {k: [k] for k in groups}
    gains: dict[tuple[int, int], float] = {}
    fresh = set(groups)
    while fresh:
        for one in fresh:
            for other in groups:
                if one != other and _touch(boxes[one], boxes[other]):
                    pair = min(one, other), max(one, other)
                    both = np.concatenate([groups[one], groups[other]])
                    together = _fit(voted[both], _hull(boxes[one], boxes[other]))
                    gains[pair] = together - APART * (fits[one] + fits[other])
        fresh = set()
        best = max(gains, key=lambda pair: gains[pair], default=None)
        if best is None or gains[best] <= 0:
            break
        one, other = best
        groups[one] = np.concatenate([groups[one], groups.pop(other)])
        boxes[one] = _hull(boxes[one], boxes.pop(other))
        fits[one] = _fit(voted[groups[one]], boxes[one])
        del fits[other]
        joined[one] += joined.pop(other)
        gains = {pair: gain for pair, gain in gains.items() if not {one, other} & set(pair)}
        fresh = {one}
    columns = [distances[:, members].min(1) for members in joined.values()]
    return np.stack(columns, 1), np.array([heats[members].max() for members in joined.values()], np.float32)


def _box(cells: NDArray[np.int64]) -> Floats:
    """Box XYXY `(4,)` of cells `(N, 2)`."""
    return np.concatenate([cells.min(0), cells.max(0) + 1]).astype(np.float32)


def _hull(one: Floats, other: Floats) -> Floats:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _touch(one: Floats, other: Floats) -> bool:
    return bool((np.minimum(one[2:], other[2:]) >= np.maximum(one[:2], other[:2])).all())


def _fit(voted: Floats, box: Floats) -> float:
    """Sum over cells of the IoU of the boxes that they vote for `(N, 4)` with one box `(4,)`, from `SAMPLE` of many."""
    number = len(voted)
    voted = voted[:: max(1, number // SAMPLE)]
    shared = (np.minimum(voted[:, 2:], box[2:]) - np.maximum(voted[:, :2], box[:2])).clip(min=0).prod(1)
    areas = (voted[:, 2:] - voted[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return float((shared / np.maximum(areas - shared, 1e-6)).mean()) * number


def _grouped(
    logits: Floats, heat: float, distances: Floats, votes: Floats, sizes: Floats,
    rows: NDArray[np.int64], columns: NDArray[np.int64],
) -> Grouped:  # fmt: skip
    middle, extent = np.median(votes, 0), np.median(sizes, 0)
    voted = (*(middle - extent / 2), *(middle + extent / 2))
    fill = len(rows) / float(np.ptp(columns) + 1) / float(np.ptp(rows) + 1)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return Grouped(logits, heat, float(distances.mean()) if heat else 0.0, _iou(voted, box), fill)


def _iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """IoU of two boxes XYXY."""
    width, height = (max(0.0, min(one[k + 2], other[k + 2]) - max(one[k], other[k])) for k in range(2))
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return float(width * height / max(areas - width * height, 1e-6))
