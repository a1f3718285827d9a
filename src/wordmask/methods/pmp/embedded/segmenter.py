"""The segmenter of the embedded weights: the dense mask and proposals that the prompt guides, in one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

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
    from wordmask.ops.geometry import Placement

__all__ = ["ProposalSegmenter"]

LOOKED_FOR = 0.25
"""Prompts get proposals where their presence reaches this fraction of its threshold."""
FURTHEST = 30.0
"""Masks are cut at a logit between -FURTHEST and FURTHEST."""


class ProposalSegmenter(DenseSegmenter):
    """A `Segmenter` and `ProposalSource`: dense masks of the compact network, divided by proposals into instances.

    The dense mask is proposal 0. The mask of the prompt's own query replaces it where a higher IoU is expected of it.
    `Found.instances` are parts of that mask, one for each proposal that is good enough; `Found.candidates` are all
    proposals, the dense mask among them.

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
        """Answer densely, and add instances and candidates for every prompt that may be in the image."""
        result = super().answer(encoded, plan, thresholds)
        founds = list(result.founds)
        asked = [i for i, f in enumerate(founds) if f.presence >= LOOKED_FOR * f.presence_threshold]
        features = map_tensors(encoded.features, lambda tensor: tensor.to(plan.embeddings)).proposals
        for start in range(0, len(asked), self.model.chunk):
            chosen = asked[start : start + self.model.chunk]
            dense = np.stack([_logits(founds[i]) for i in chosen])
            rows = plan.embeddings[[plan.own[i] for i in chosen]]
            proposed = self.proposals.propose(features, rows, torch.from_numpy(dense).to(rows.device))
            for i, one in zip(chosen, proposed, strict=True):
                founds[i] = self._with_proposals(founds[i], one, thresholds, fixed=bool(plan.negatives[i]))
        return replace(result, founds=tuple(founds))

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
        kept = kept_proposals(one.masks > 0, one.quality, self.proposals.settings, area=0)
        placement = encoded.placement
        return tuple(Region(MaskLogits(one.masks[i], placement), *2 * (float(one.quality[i]),)) for i in kept)

    def _with_proposals(self, dense: Found, one: Proposed, thresholds: Thresholds, *, fixed: bool) -> Found:
        """Return a dense result with the instances and candidates that proposals make of it.

        Args:
            dense: The dense result.
            one: Proposals for its prompt.
            thresholds: Of the call.
            fixed: Whether the dense mask stays, whatever is expected of another one.
        """
        settings, found = self.proposals.settings, dense
        better = not fixed and float(one.quality[-1]) - one.dense_quality > settings.margin
        if better:
            found = self._replaced(dense, one.masks[-1], thresholds)
        placement, cut = _placement(found), _cut(found)
        parts = divide(_logits(found) - cut, one.masks[:-1], one.quality[:-1], settings)
        regions = tuple(
            Region(MaskLogits(part.logits + cut, placement), *_scores(part, one, found.presence, settings.part_score))
            for part in parts
        )
        taken = {part.proposal for part in parts}
        shown = [_candidate(_logits(dense) - _cut(dense), one.dense_quality, found, "dense", chosen=not better)]
        kinds = ["instance"] * (len(one.masks) - 1) + ["prompt"]
        shown += [
            _candidate(mask, float(quality), found, kind, chosen=better if kind == "prompt" else i in taken)
            for i, (mask, quality, kind) in enumerate(zip(one.masks, one.quality, kinds, strict=True))
        ]
        return replace(found, regions=regions, candidates=tuple(shown))

    def _replaced(self, dense: Found, mask: NDArray[np.float32], thresholds: Thresholds) -> Found:
        """Return a result with another mask's logits and, where the call names none, that mask's own threshold."""
        placement, threshold = _placement(dense), thresholds.mask
        if threshold is None:
            mask, threshold = self._own_threshold(mask, placement, None)
        return replace(dense, heatmap_logits=MaskLogits(mask, placement), threshold=threshold)


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


def _candidate(mask: NDArray[np.float32], quality: float, found: Found, kind: str, *, chosen: bool) -> Candidate:
    """Return a candidate from logits above 0 inside; `Found` cuts all masks of a prompt at one threshold."""
    region = Region(MaskLogits(mask + _cut(found), _placement(found)), quality * found.presence, quality)
    scores = {"presence": found.presence, "quality": quality, kind: 1.0}
    return Candidate(region, scores, chosen)
