"""The segmenter of the embedded weights: the dense mask, its instances, and proposals that the prompt guides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.contracts import Encoded
from wordmask.errors import ImageError, sentence
from wordmask.methods.dense import DensePlan, DenseSegmenter
from wordmask.methods.pmp.embedded.answers import Answered, instances_from_cells, instances_from_proposals
from wordmask.methods.pmp.embedded.instances import kept_proposals
from wordmask.methods.pmp.embedded.model import Divided, PmpFeatures, ProposalModel, Proposed
from wordmask.methods.runner import map_tensors
from wordmask.results import MaskLogits, Region, Segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.components.thresholds import Thresholds
    from wordmask.images import RgbImage
    from wordmask.methods.pmp.embedded.features import ProposalFeatures

__all__ = ["ProposalSegmenter"]

LOOKED_FOR = 0.25
"""Prompts get proposals where their presence reaches this fraction of its threshold."""
LEAST_UNPROMPTED = 0.02
"""Expected IoU of regions without a prompt, at least."""


class ProposalSegmenter(DenseSegmenter):
    """A `Segmenter` and `ProposalSource`: dense masks of the compact network, their instances, and proposals.

    The logits of the dense mask are averaged with those that the decoder has for the prompt. `Found.instances` are
    parts of that mask: cells that point to the same centre or, without a `CentreHead`, that one proposal covers.
    `Found.candidates` are the dense mask, that average, the instances and all proposals; proposals are computed when
    candidates are asked for.

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
        """Decode the prompts densely and with centres or proposals, and apply negatives and thresholds to the mean."""
        features = map_tensors(encoded.features, lambda tensor: tensor.to(plan.embeddings))
        dense, presences = self._decode(features, plan.embeddings)
        assert presences is not None
        rivals = {row for negatives in plan.negatives for row in negatives}
        asked = [u for u, p in enumerate(presences) if p >= LOOKED_FOR * thresholds.presence or u in rivals]
        proposed = RowProposals(self.proposals, features.proposals, plan.embeddings, dense, asked)
        divided = self._divided(features.proposals, plan, dense, asked)
        logits = dense.copy()
        blend = np.float32(self.proposals.settings.blend)
        for row in asked if blend else ():
            other = divided[row].mask if divided else proposed[row].masks[-1]
            logits[row] += blend * (other - logits[row])
        founds = []
        for prompt, own, negatives in zip(plan.prompts, plan.own, plan.negatives, strict=True):
            strongest = np.maximum.reduce([logits[row] for row in negatives]) if negatives else None
            found = self._found(prompt, logits[own], strongest, float(presences[own]), encoded, thresholds)
            if own in proposed:
                answered = Answered(found, dense[own], proposed.of(own), self.proposals)
                found = instances_from_cells(answered, divided[own]) if divided else instances_from_proposals(answered)
            founds.append(found)
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _divided(
        self, features: ProposalFeatures, plan: DensePlan, dense: NDArray[np.float32], rows: list[int]
    ) -> dict[int, Divided]:
        """Return what divides the masks of some rows of a plan's embeddings; {} without a `CentreHead`."""
        found: dict[int, Divided] = {}
        if self.proposals.network.centres is None:
            return found
        for start in range(0, len(rows), self.model.chunk):
            chosen = rows[start : start + self.model.chunk]
            given = torch.from_numpy(dense[chosen]).to(plan.embeddings.device)
            found |= dict(zip(chosen, self.proposals.divide(features, plan.embeddings[chosen], given), strict=True))
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


class RowProposals:
    """Proposals for some rows of a plan's embeddings, all computed when the first is asked for.

    Args:
        model: What proposes.
        features: Of one image.
        embeddings: Of the prompts `(U, C)`.
        dense: Dense logits `(U, h, w)` of the prompts.
        rows: Those that there are proposals for.
    """

    def __init__(
        self, model: ProposalModel, features: ProposalFeatures, embeddings: torch.Tensor,
        dense: NDArray[np.float32], rows: list[int],
    ) -> None:  # fmt: skip
        kept = features._replace(centres=())  # what the decoder reads
        self._given = model, kept, embeddings, dense
        self._rows = rows
        self._found: dict[int, Proposed] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    @torch.inference_mode()
    def __getitem__(self, row: int) -> Proposed:
        if not self._found:
            model, features, embeddings, dense = self._given
            for start in range(0, len(self._rows), model.chunk):
                chosen = self._rows[start : start + model.chunk]
                given = torch.from_numpy(dense[chosen]).to(embeddings.device)
                self._found |= dict(zip(chosen, model.propose(features, embeddings[chosen], given), strict=True))
        return self._found[row]

    def of(self, row: int) -> Any:
        """Return a function that returns the proposals of a row."""
        return lambda: self[row]


def _trunk_features(encoded: Encoded) -> Any:
    """Features of an image that have what the query decoder reads.

    Raises:
        ImageError: If they do not.
    """
    if not all(hasattr(encoded.features, name) for name in ("pyramid", "maps")):
        got = f"an image encoded by {encoded.model!r}"
        raise ImageError(sentence(got, "one encoded by 'pmp' or 'compact'", "pass the image"))
    return encoded.features
