"""TAS on SAM, CLIP and a captioner: proposals once per image, and one CLIP vector and one caption per proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.backbones.clip.masked import masked_embeddings
from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed
from wordmask.contracts import Encoded
from wordmask.images import RgbImage
from wordmask.methods.tas.crops import blurred_image, caption_crop, clip_crop, clip_pixels
from wordmask.methods.tas.filtering import filter_masks
from wordmask.methods.tas.language import noun_phrases
from wordmask.methods.tas.mask_pooling import coverage
from wordmask.methods.tas.regions import RegionSet, TasFeatures, pack_masks, pack_text
from wordmask.ops.bounded_cache import BoundedCache
from wordmask.ops.geometry import squash
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.backbones.clip.pretrained import Clip
    from wordmask.contracts import Captioner, ProposalSource
    from wordmask.methods.tas.filtering import MaskFilter
    from wordmask.ops.masks import PackedMask

__all__ = ["ClipRegions", "RegionsFrom"]

RegionsFrom: TypeAlias = Literal["crops", "tokens"]
"""How CLIP sees a region: as a crop on black, one pass each, or by a class token of its own in one pass for all."""

NEGATIVE = "a photo of {}"
CROPS_AT_ONCE = 8
TEXTS_KEPT = 4096
PATCHES = 16
"""Patches along each side of the image for `RegionsFrom` "tokens"."""


class ClipRegions:
    """A `RegionModel` on a proposal source, CLIP and a captioner.

    Args:
        name: Name in messages and results.
        source: Proposes masks.
        clip: Both towers.
        captioner: Describes regions and images; None: no captions, so that P and N are 0.
        keep: Filter of the proposals.
        regions_from: How CLIP sees regions.
    """

    def __init__(
        self,
        name: str,
        source: ProposalSource,
        clip: Clip,
        captioner: Captioner | None = None,
        *,
        keep: MaskFilter,
        regions_from: RegionsFrom = "crops",
    ) -> None:
        self.name, self.source, self.clip, self.captioner = name, source, clip, captioner
        self.keep, self.regions_from = keep, regions_from
        self._texts: BoundedCache[str, Tensor] = BoundedCache(TEXTS_KEPT)

    def encode(self, image: RgbImage) -> Encoded:
        """Return proposals, their vectors and captions, and the noun phrases of the image's caption."""
        proposals = self.source.propose(image)
        masks = [region.packed() for region in proposals]
        kept = filter_masks(masks, self.keep)
        chosen = [masks[index] for index in kept]
        captions, caption = self._captions(image, chosen)
        phrases = list(noun_phrases(caption))
        features = TasFeatures(
            *pack_masks(chosen),
            torch.tensor([float(proposals[index].mask_score or 0) for index in kept]),
            self.vectors(image, chosen),
            self._captions_embedded(captions),
            self.embed_texts([NEGATIVE.format(phrase) for phrase in phrases]),
            pack_text([*captions, *phrases]),
        )
        return Encoded(image.size, squash(image.size, image.size), features, image, self.name)

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        """Return the proposals: they do not depend on the phrase."""
        found: RegionSet = encoded.features.regions(encoded.size)
        if encoded.mirror is None:
            return found
        return found.merged(encoded.mirror.features.regions(encoded.size).flipped())

    def presence(self, encoded: Encoded, phrase: str) -> float:
        """Return 1: an expression presumes its object."""
        return 1.0

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, C) of texts; those of earlier calls are kept."""
        known = {text: kept for text in texts if (kept := self._texts.get(text)) is not None}
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        if fresh:
            for text, row in zip(fresh, self.clip.text.embed_texts(fresh).float(), strict=True):
                known[text] = F.normalize(row, dim=-1)
                self._texts.put(text, known[text])
        return torch.stack([known[text] for text in texts]) if texts else self._nothing()

    def vectors(self, image: RgbImage, masks: Sequence[PackedMask]) -> Tensor:
        """Return unit vectors (N, C) of masked regions."""
        if not masks:
            return self._nothing()
        made = self._crops(image, masks) if self.regions_from == "crops" else self._tokens(image, masks)
        return F.normalize(made.float(), dim=-1)

    def _crops(self, image: RgbImage, masks: Sequence[PackedMask]) -> Tensor:
        parts = []
        for start in range(0, len(masks), CROPS_AT_ONCE):
            crops = [clip_crop(image.pixels, mask) for mask in masks[start : start + CROPS_AT_ONCE]]
            pixels = torch.from_numpy(clip_pixels(crops, self.clip.side))
            parts.append(self.clip.vision.pooled(self.clip.normalised(pixels)))
        return torch.cat(parts)

    def _tokens(self, image: RgbImage, masks: Sequence[PackedMask]) -> Tensor:
        side = PATCHES * self.clip.vision.patch
        pixels = torch.from_numpy(resize(image.pixels, (side, side), resample="bicubic").copy())[None]
        return masked_embeddings(self.clip.vision, self.clip.normalised(pixels), coverage(masks, (PATCHES, PATCHES)))

    def _captions(self, image: RgbImage, masks: Sequence[PackedMask]) -> tuple[list[str], str]:
        """One caption for each region, "" where the captioner fails, and one for the whole image."""
        if self.captioner is None or not masks:
            return [""] * len(masks), ""
        blurred = blurred_image(image.pixels)
        crops = [RgbImage(caption_crop(image.pixels, mask, blurred)) for mask in masks]
        *captions, whole = self.captioner.caption([*crops, image], batch_size=CROPS_AT_ONCE)
        return captions, whole

    def _captions_embedded(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors (N, C) of captions; zero for empty ones, so that P is 0."""
        if not captions:
            return self._nothing()
        said = np.array([bool(caption.strip()) for caption in captions])
        vectors = self.embed_texts([caption or "nothing" for caption in captions])
        return vectors * torch.from_numpy(said)[:, None].to(vectors)

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self.clip.text.channels, device=self.clip.vision.class_token.device)
