"""TAS on the embedded compact network: regions from its maps, vectors pooled under masks, captions from a vocabulary.

There is no captioner: the caption of a region is "a photo of a NAME" with the name of the vocabulary whose vector is
nearest to the region's, and the noun phrases of the whole image are the names of its regions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed, instances_of
from wordmask.components.place.mirror import flipped_found, flipped_mask, merged, swapped_prompt
from wordmask.components.thresholds import Thresholds
from wordmask.contracts import Encoded
from wordmask.methods.tas.filtering import filter_masks
from wordmask.methods.tas.mask_pooling import coverage, pooled
from wordmask.methods.tas.regions import RegionSet, TasFeatures, pack_masks, pack_text
from wordmask.ops.masks import intersection, iou
from wordmask.prompts import TextPrompt
from wordmask.results import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.contracts import ProposalSource
    from wordmask.images import RgbImage
    from wordmask.methods.compact.method import CompactFeatures, CompactModel
    from wordmask.methods.dense import DenseSegmenter
    from wordmask.methods.tas.filtering import MaskFilter
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt
    from wordmask.results import Found

__all__ = ["CAPTION", "CompactRegions", "VocabularyParts"]

CAPTION = "a photo of a {}"
ANY_PRESENCE = Thresholds(None, 0.0)
REPEATED = 0.85
"""IoU with an earlier region from which a region is a repetition."""


class CompactRegions:
    """A `RegionModel` on a compact network.

    Args:
        name: Name in messages and results.
        trunk: A segmenter on the compact network, which finds the instances of names: the network itself, or one with
            a query decoder (PMP).
        network: The compact network.
        sources: Propose regions without a prompt, those that matter most first.
        names: Vocabulary of the captions.
        keep: Filter of the proposals.
    """

    def __init__(
        self,
        name: str,
        trunk: DenseSegmenter,
        network: CompactModel,
        sources: Sequence[ProposalSource],
        *,
        names: tuple[str, ...],
        keep: MaskFilter,
    ) -> None:
        self.name, self.trunk, self.network = name, trunk, network
        self.sources = tuple(sources)
        self.names, self.keep = names, keep

    def encode(self, image: RgbImage) -> Encoded:
        """Return proposals, their vectors and captions, and the features of the trunk."""
        trunk = self.trunk.encode(image)
        proposals = [region for source in self.sources for region in source.propose(trunk)]
        masks = [region.packed() for region in proposals]
        kept = filter_masks(masks, self.keep)
        chosen = [masks[index] for index in kept]
        quality = [proposals[index].mask_score or proposals[index].score for index in kept]
        regions = self._described(chosen, quality, self.vectors(chosen, trunk.features))
        phrases = list(dict.fromkeys(text.removeprefix("a photo of a ") for text in regions.texts))
        features = TasFeatures(
            *pack_masks(regions.masks),
            torch.tensor(regions.quality),
            regions.vectors,
            regions.captions,
            self.vocabulary[[self.names.index(phrase) for phrase in phrases]],
            pack_text([*regions.texts, *phrases]),
            trunk.features,
        )
        return Encoded(image.size, trunk.placement, features, image, self.name)

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        """Return the instances of the phrase's own mask, and the proposals that do not repeat them.

        Where the mask has fewer parts than the phrase presumes instances, those that touch are taken apart
        (`components.place.instances`).
        """
        proposals: RegionSet = encoded.features.regions(encoded.size)
        if encoded.mirror is not None:
            proposals = proposals.merged(encoded.mirror.features.regions(encoded.size).flipped())
        if not phrase:
            return proposals
        found = self._found(encoded, phrase)
        parts, _ = instances_of(found, presumed)
        masks = [part.packed(found.threshold) for part in parts]
        own = self._described(masks, [part.score for part in parts], self._pooled(masks, encoded))
        several = masks if len(parts) > 1 else []
        rest = [index for index, mask in enumerate(proposals.masks) if not _holds_several(mask, several)]
        both = replace(own, found=len(own)).joined(proposals.select(rest))
        return both.select(_without_repeats(both.masks))

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, C) of texts."""
        return self.network.embed_texts(texts)

    def presence(self, encoded: Encoded, phrase: str) -> float:
        """Return the trunk's calibrated presence of a phrase, the mean over the orientations that are there."""
        return self._found(encoded, phrase).presence

    @cached_property
    def vocabulary(self) -> Tensor:
        """Unit vectors (V, C) of the captions of all names."""
        with torch.inference_mode():
            return self.network.embed_texts([CAPTION.format(name) for name in self.names])

    def vectors(self, masks: Sequence[PackedMask], features: CompactFeatures) -> Tensor:
        """Return unit vectors (N, C) of regions in the space of the phrases: features pooled under the masks."""
        maps = features.maps
        if not masks:
            return self.vocabulary[:0]
        weights = coverage(masks, (maps.pixel.shape[2], maps.pixel.shape[3])).to(maps.pixel)  # (N, h, w)
        coarse = F.interpolate(weights[None], size=maps.coarse.shape[-2:], mode="area")[0]
        parts = [pooled(maps.pixel[0], weights), pooled(maps.coarse[0], coarse), weights.mean((1, 2))[:, None]]
        example: Tensor = self.network.network.example(torch.cat(parts, dim=1))
        return F.normalize(example, dim=-1)

    def _described(self, masks: list[PackedMask], quality: list[float], vectors: Tensor) -> RegionSet:
        nearest = (vectors @ self.vocabulary.T).argmax(1)
        texts = [CAPTION.format(self.names[index]) for index in nearest.tolist()]
        return RegionSet(masks, quality, vectors, self.vocabulary[nearest], texts)

    def _pooled(self, masks: list[PackedMask], encoded: Encoded) -> Tensor:
        """Unit vectors (N, C) of regions, the mean over the orientations that are there."""
        vectors = self.vectors(masks, encoded.features.trunk)
        if encoded.mirror is None:
            return vectors
        others = self.vectors([flipped_mask(mask) for mask in masks], encoded.mirror.features.trunk)
        return F.normalize(vectors + others, dim=-1)

    def _found(self, encoded: Encoded, phrase: str) -> Found:
        """The trunk's answer to a phrase, whatever its presence, averaged over the orientations that are there."""
        prompt = TextPrompt(phrase)
        found = self._found_in(encoded, prompt)
        if encoded.mirror is None:
            return found
        other = self._found_in(encoded.mirror, swapped_prompt(prompt))
        return merged(found, flipped_found(other))

    def _found_in(self, encoded: Encoded, prompt: Prompt) -> Found:
        trunk = Encoded(encoded.size, encoded.placement, encoded.features.trunk, encoded.image, self.trunk.name)
        return self.trunk.answer(trunk, self.trunk.prepare((prompt,)), ANY_PRESENCE).founds[0]


class VocabularyParts:
    """A `ProposalSource` on a compact network: connected parts of the masks of the most likely names.

    Args:
        trunk: A segmenter on the compact network.
        network: The compact network.
        names: The vocabulary.
        decoded: Names that are decoded, those whose pixel embeddings fit best somewhere in the image.
        min_presence: Names less likely than that make no regions.
    """

    def __init__(
        self, trunk: DenseSegmenter, network: CompactModel, names: tuple[str, ...], *, decoded: int = 24,
        min_presence: float = 0.2,
    ) -> None:  # fmt: skip
        self.trunk, self.network, self.names = trunk, network, names
        self.decoded, self.min_presence = decoded, min_presence

    @cached_property
    def vocabulary(self) -> Tensor:
        """Unit vectors (V, C) of the names."""
        with torch.inference_mode():
            return self.network.embed_texts(self.names)

    def propose(self, image: Encoded | RgbImage) -> tuple[Region, ...]:
        """Return regions, the best first."""
        encoded = image if isinstance(image, Encoded) else self.trunk.encode(image)
        thresholds = Thresholds(None, self.min_presence)
        plan = self.trunk.prepare(tuple(TextPrompt(name) for name in self._likely(encoded.features)))
        result = self.trunk.answer(encoded, plan, thresholds)
        regions = [
            Region(part.packed, found.presence * part.score, part.score, part.box)
            for found in result
            for part in found.instances
        ]
        return tuple(sorted(regions, key=lambda region: -region.score))

    def _likely(self, features: CompactFeatures) -> list[str]:
        pixel = F.avg_pool2d(features.maps.pixel, 2)
        strongest = self.network.network.decoder.dot(pixel, self.vocabulary[None]).flatten(2).amax(2)[0]
        return [self.names[index] for index in strongest.topk(min(self.decoded, len(self.names))).indices.tolist()]


def _holds_several(mask: PackedMask, parts: Sequence[PackedMask]) -> bool:
    """Whether a mask covers most of two parts or more."""
    return sum(intersection(mask, part) > part.area / 2 for part in parts) > 1


def _without_repeats(masks: Sequence[PackedMask]) -> list[int]:
    """The indices of masks that do not repeat an earlier one."""
    kept: list[int] = []
    for index, mask in enumerate(masks):
        if all(iou(mask, masks[other]) <= REPEATED for other in kept):
            kept.append(index)
    return kept
