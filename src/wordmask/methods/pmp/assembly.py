"""Put scored masks together: semantic maps, instances, a panoptic map. Nothing is brought to the size of the image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Segment", "distinct", "panoptic_segments", "semantic_maps"]

EPSILON = 1e-6
NAMES_AT_ONCE = 64
"""Names whose maps are computed together."""


class Segment(NamedTuple):
    """A region of a panoptic map.

    Attributes:
        query: The mask it comes from.
        name: Index of its name.
        score: Of that mask for that name.
        cells: bool `(h, w)`, at the resolution of the masks; no two segments overlap.
    """

    query: int
    name: int
    score: float
    cells: Tensor


def semantic_maps(scores: Tensor, masks: Tensor) -> Tensor:
    """Return `(K, h, w)`: the sum of mask probabilities, weighted by the scores, at most 1 (Mask2Former, section 3).

    Args:
        scores: float `(Q, K)`.
        masks: float `(Q, h, w)` logits.
    """
    probability = masks.float().sigmoid().flatten(1)  # (Q, h * w)
    parts = torch.split(scores.float(), NAMES_AT_ONCE, dim=1)
    maps = [part.T @ probability for part in parts]
    return torch.cat(maps).clamp(max=1).view(-1, *masks.shape[1:])


def distinct(masks: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Return the masks that survive greedy non-maximum suppression by mask IoU, best first.

    Args:
        masks: float `(N, h, w)` logits, cut at probability 0.5.
        scores: float `(N,)`.
        threshold: IoU above which the worse mask is removed.
    """
    cells = (masks > 0).flatten(1).float()
    joint, area = cells @ cells.T, cells.sum(dim=1)
    iou = joint / (area[:, None] + area[None] - joint).clamp(min=1)
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if not kept or float(iou[index, kept].max()) <= threshold:
            kept.append(index)
    return kept


def panoptic_segments(
    scores: Tensor, masks: Tensor, *, threshold: float, overlap: float, allowed: int | None = None
) -> list[Segment]:
    """Return segments without overlap: every cell goes to the mask with the highest score times probability.

    Args:
        scores: float `(Q, K)`.
        masks: float `(Q, h, w)` logits.
        threshold: Lowest score of a mask that takes part.
        overlap: Part of its own area that a mask must keep; otherwise it is left out.
        allowed: The first so many names are returned; masks of the others take part and are dropped.
    """
    best, names = scores.max(dim=1)
    queries = torch.nonzero(best >= threshold).flatten()
    if not len(queries):
        return []
    probability = masks[queries].float().sigmoid()
    owner = (best[queries, None, None] * probability).argmax(dim=0)  # (h, w)
    segments = []
    for place, query in enumerate(queries.tolist()):
        own = probability[place] >= 0.5
        cells = own & (owner == place)
        whole, kept, name = int(own.sum()), int(cells.sum()), int(names[query])
        if kept and kept >= overlap * whole and (allowed is None or name < allowed):
            segments.append(Segment(query, name, float(best[query]), cells))
    return sorted(segments, key=lambda segment: -segment.score)
