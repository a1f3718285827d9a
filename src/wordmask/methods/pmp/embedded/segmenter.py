"""The segmenter of the embedded weights: the dense mask and proposals that the prompt guides, in one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.components.thresholds import own_threshold
from wordmask.contracts import Encoded
from wordmask.errors import ImageError, sentence
from wordmask.methods.dense import DensePlan, DenseSegmenter
from wordmask.methods.pmp.embedded.instances import Part, divide, kept_proposals
from wordmask.methods.pmp.embedded.model import PmpFeatures, ProposalModel, Proposed
from wordmask.methods.runner import map_tensors
from wordmask.ops.probability import logit, sigmoid
from wordmask.results import Candidate, Found, MaskLogits, Region, Segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.components.thresholds import Thresholds
    from wordmask.images import RgbImage
    from wordmask.methods.pmp.embedded.features import ProposalFeatures
    from wordmask.ops.geometry import Placement

__all__ = ["ProposalSegmenter"]

LOOKED_FOR = 0.25
"""Prompts get proposals where their presence reaches this fraction of its threshold."""
LEAST_UNPROMPTED = 0.02
"""Expected IoU of regions without a prompt, at least."""
FURTHEST = 30.0
"""Masks are cut at a logit between -FURTHEST and FURTHEST."""


class ProposalSegmenter(DenseSegmenter):
    """A `Segmenter` and `ProposalSource`: dense masks of the compact network, divided by proposals into instances.

    The dense mask is proposal 0; its logits are averaged with those of the prompt's own query. `Found.instances` are
    parts of that mask, one for each proposal that is good enough; `Found.candidates` are all proposals, the dense mask
    among them.

    Args:
        model: Network, trunk and settings.
        device: Device of the pixels.
        dtype: Precision of the model.
    """

    def __init__(
        self, model: ProposalModel, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(model, device=device, dtype=dtype)
        self.proposals = model

    def answer(self, encoded: Encoded, plan: DensePlan, thresholds: Thresholds) -> Segmentation:
        """Decode the prompts densely and by proposals, and apply negatives and thresholds to the average of both."""
        features = map_tensors(encoded.features, lambda tensor: tensor.to(plan.embeddings))
        dense, presences = self._decode(features, plan.embeddings)
        assert presences is not None
        rivals = {row for negatives in plan.negatives for row in negatives}
        asked = [u for u, p in enumerate(presences) if p >= LOOKED_FOR * thresholds.presence or u in rivals]
        proposed = self._propose(features.proposals, plan, dense, asked)
        logits = dense.copy()
        for row, one in proposed.items():
            blend = np.float32(self.proposals.settings.blend)
            logits[row] += blend * (one.masks[-1] - logits[row])
        founds = []
        for prompt, own, negatives in zip(plan.prompts, plan.own, plan.negatives, strict=True):
            strongest = np.maximum.reduce([logits[row] for row in negatives]) if negatives else None
            found = self._found(prompt, logits[own], strongest, float(presences[own]), encoded, thresholds)
            if own in proposed:
                found = self._with_proposals(found, dense[own], proposed[own])
            founds.append(found)
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _propose(
        self, features: ProposalFeatures, plan: DensePlan, dense: NDArray[np.float32], rows: list[int]
    ) -> dict[int, Proposed]:
        """Return proposals for some rows of a plan's embeddings."""
        found: dict[int, Proposed] = {}
        for start in range(0, len(rows), self.model.chunk):
            chosen = rows[start : start + self.model.chunk]
            given = torch.from_numpy(dense[chosen]).to(plan.embeddings.device)
            ones = self.proposals.propose(features, plan.embeddings[chosen], given)
            found |= dict(zip(chosen, ones, strict=True))
        return found

    @torch.inference_mode()
    def propose(self, image: Encoded | RgbImage) -> tuple[Region, ...]:
        """Return regions that no prompt guided, best first.

        Args:
            image: An image, or one that this model or the compact network of its trunk encoded.

        Raises:
            ImageError: If another model encoded it.
        """
        encoded = image if isinstance(image, Encoded) else self.encode(image)
        weight = next(self.proposals.network.parameters())
        features = map_tensors(_trunk_features(encoded), lambda tensor: tensor.to(weight))
        maps = features.proposals if isinstance(features, PmpFeatures) else self.proposals.features(features)
        one = self.proposals.propose(maps, None, None)[0]
        settings = replace(self.proposals.settings, least_quality=LEAST_UNPROMPTED)
        kept = kept_proposals(one.masks > 0, one.quality, settings, area=0)
        placement = encoded.placement
        return tuple(Region(MaskLogits(one.masks[i], placement), *2 * (float(one.quality[i]),)) for i in kept)

    def _with_proposals(self, found: Found, dense: NDArray[np.float32], one: Proposed) -> Found:
        """Return a result with the instances and candidates that proposals make of its mask.

        Args:
            found: The result.
            dense: Dense logits `(h, w)` of its prompt.
            one: Proposals for it.
        """
        settings, placement, cut = self.proposals.settings, _placement(found), _cut(found)
        mask = _logits(found) - cut
        parts = divide(mask, one.masks[:-1], one.quality[:-1], settings)
        regions = tuple(
            Region(MaskLogits(part.logits + cut, placement), *_scores(part, one, found.presence, settings.part_score))
            for part in parts
        )
        taken = {part.proposal for part in parts}
        whole = dense - np.float32(logit(own_threshold(dense, placement)))
        kinds = ["dense", "blend", *["instance"] * (len(one.masks) - 1), "prompt"]
        qualities = [one.dense_quality, one.dense_quality, *one.quality.tolist()]
        chosen = [False, True, *(number in taken for number in range(len(one.masks) - 1)), False]
        every = zip([whole, mask, *one.masks], qualities, kinds, chosen, strict=True)
        candidates = (_candidate(logits, quality, kind, found, chosen=used) for logits, quality, kind, used in every)
        return replace(found, regions=regions, candidates=tuple(candidates))


def _trunk_features(encoded: Encoded) -> Any:
    """Features of an image that have what the query decoder reads.

    Raises:
        ImageError: If they do not.
    """
    if not all(hasattr(encoded.features, name) for name in ("pyramid", "maps")):
        got = f"an image encoded by {encoded.model!r}"
        raise ImageError(sentence(got, "one encoded by 'pmp' or 'compact'", "pass the image"))
    return encoded.features


def _placement(found: Found) -> Placement:
    assert found.heatmap_logits is not None
    return found.heatmap_logits.placement


def _logits(found: Found) -> NDArray[np.float32]:
    assert found.heatmap_logits is not None
    return found.heatmap_logits.values


def _cut(found: Found) -> np.float32:
    """The logit at which the mask of a result is cut."""
    return np.float32(min(max(logit(found.threshold), -FURTHEST), FURTHEST))


def _scores(part: Part, one: Proposed, presence: float, factor: float) -> tuple[float, float | None]:
    """Detection score and mask quality of a part of the answer."""
    if part.proposal >= 0:
        quality = float(one.quality[part.proposal])
        return quality * presence, quality
    inside = part.logits[part.logits > 0]
    mean = float(sigmoid(inside).mean()) if inside.size else 0.0
    return factor * mean * presence, None


def _candidate(mask: NDArray[np.float32], quality: float, kind: str, found: Found, *, chosen: bool) -> Candidate:
    """Return a candidate from logits above 0 inside; `Found` cuts all masks of a prompt at one threshold."""
    region = Region(MaskLogits(mask + _cut(found), _placement(found)), quality * found.presence, quality)
    scores = {"presence": found.presence, "quality": quality, kind: 1.0}
    return Candidate(region, scores, chosen)
