"""Instances and candidates of one prompt, from the mask and what divides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wordmask.components.thresholds import own_threshold
from wordmask.methods.pmp.embedded.grouping import group_cells, score_inputs
from wordmask.methods.pmp.embedded.instances import Part, divide
from wordmask.ops.probability import logit, sigmoid
from wordmask.results import Candidate, Found, MaskLogits, Region
from wordmask.results.deferred import DeferredCandidates

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from wordmask.methods.pmp.embedded.model import Divided, ProposalModel, Proposed
    from wordmask.ops.geometry import Placement

    Floats = NDArray[np.float32]

__all__ = ["Answered", "instances_from_cells", "instances_from_proposals"]

FURTHEST = 30.0
"""Masks are cut at a logit between -FURTHEST and FURTHEST."""


@dataclass(frozen=True)
class Answered:
    """The dense answer to one prompt, and what may be known beside it.

    Attributes:
        found: The result, without instances.
        dense: Dense logits `(h, w)`.
        proposed: Returns the proposals for the prompt.
        model: What divides masks.
    """

    found: Found
    dense: Floats
    proposed: Callable[[], Proposed]
    model: ProposalModel

    @property
    def placement(self) -> Placement:
        """Position of the image on the canvas."""
        assert self.found.heatmap_logits is not None
        return self.found.heatmap_logits.placement

    @property
    def cut(self) -> np.float32:
        """The logit at which the mask is cut."""
        return np.float32(min(max(logit(self.found.threshold), -FURTHEST), FURTHEST))

    @property
    def mask(self) -> Floats:
        """Logits `(h, w)` above 0 inside the mask."""
        assert self.found.heatmap_logits is not None
        return self.found.heatmap_logits.values - self.cut

    def region(self, logits: Floats, score: float, quality: float | None) -> Region:
        """Return a region from logits above 0 inside; `Found` cuts all masks of a prompt at one threshold."""
        return Region(MaskLogits(logits + self.cut, self.placement), score, quality)

    def candidate(self, logits: Floats, quality: float, kind: str, *, chosen: bool) -> Candidate:
        """Return a candidate from logits above 0 inside."""
        presence = self.found.presence
        scores = {"presence": presence, "quality": quality, kind: 1.0}
        return Candidate(self.region(logits, quality * presence, quality), scores, chosen and self.found.present)


def instances_from_cells(answered: Answered, divided: Divided) -> Found:
    """Return the result with the groups of its mask's cells as instances."""
    found, mask, head = answered.found, answered.mask, answered.model.network.centres
    assert head is not None
    groups = group_cells(mask, divided.maps, answered.model.settings)
    if not groups:
        return replace(found, regions=(), candidates=DeferredCandidates(lambda: _candidates(answered, [], set())))
    qualities = head.expected(score_inputs(groups, mask, found.presence)).tolist()
    regions = tuple(answered.region(g.logits, q, q) for g, q in zip(groups, qualities, strict=True))
    parts = [(group.logits, quality) for group, quality in zip(groups, qualities, strict=True)]
    return replace(found, regions=regions, candidates=DeferredCandidates(lambda: _candidates(answered, parts, set())))


def instances_from_proposals(answered: Answered) -> Found:
    """Return the result with parts of its mask as instances, one for each proposal that is good enough."""
    found, one, settings = answered.found, answered.proposed(), answered.model.settings
    parts = divide(answered.mask, one.masks[:-1], one.quality[:-1], settings)
    regions = tuple(
        answered.region(part.logits, *_scores(part, one, found.presence, settings.part_score)) for part in parts
    )
    return replace(found, regions=regions, candidates=_candidates(answered, [], {part.proposal for part in parts}))


def _candidates(answered: Answered, parts: list[tuple[Floats, float]], taken: set[int]) -> tuple[Candidate, ...]:
    """Candidates of a prompt: the dense mask, the mask returned, its instances, and all proposals.

    Args:
        answered: The answer.
        parts: Logits and expected IoU of its instances.
        taken: Proposals that are instances.
    """
    one, placement = answered.proposed(), answered.placement
    whole = answered.dense - np.float32(logit(own_threshold(answered.dense, placement)))
    last = len(one.masks) - 1
    return (
        answered.candidate(whole, one.dense_quality, "dense", chosen=False),
        answered.candidate(answered.mask, one.dense_quality, "blend", chosen=True),
        *(answered.candidate(logits, quality, "part", chosen=True) for logits, quality in parts),
        *(
            answered.candidate(mask, float(quality), "prompt" if i == last else "instance", chosen=i in taken)
            for i, (mask, quality) in enumerate(zip(one.masks, one.quality, strict=True))
        ),
    )


def _scores(part: Part, one: Proposed, presence: float, factor: float) -> tuple[float, float | None]:
    """Detection score and mask quality of a part of the answer."""
    if part.proposal >= 0:
        quality = float(one.quality[part.proposal])
        return quality * presence, quality
    inside = part.logits[part.logits > 0]
    mean = float(sigmoid(inside).mean()) if inside.size else 0.0
    return factor * mean * presence, None
