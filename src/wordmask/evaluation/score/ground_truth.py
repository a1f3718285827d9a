"""The true instances of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.ops.masks import components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.data.sample import GroundTruthInstance, Query

    Mask = NDArray[np.bool_]

__all__ = ["ground_truth_instances"]


def ground_truth_instances(query: Query, ignored: Mask | None) -> list[tuple[Mask, bool]]:
    """Return mask and crowd flag of every true instance that has a pixel outside the ignored ones.

    Queries without instances are taken apart into connected parts. An instance known by its box alone becomes a crowd
    of that box: predictions in it count neither for nor against.

    Args:
        query: The query.
        ignored: bool `(H, W)`, pixels left out; None = none.
    """
    if query.instances:
        pairs = [_instance(one, query.packed.size) for one in query.instances]
    else:
        pairs = [(part.full(), False) for part in components(query.packed)]
    if ignored is not None:
        pairs = [(mask & ~ignored, crowd) for mask, crowd in pairs]
    return [(mask, crowd) for mask, crowd in pairs if mask.any()]


def _instance(one: GroundTruthInstance, size: tuple[int, int]) -> tuple[Mask, bool]:
    if one.mask is not None:
        return one.mask.full(), bool(one.crowd)
    x0, y0, x1, y1 = (round(side) for side in one.box)
    mask = np.zeros(size, np.bool_)
    mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask, True
