"""Region models for experiments with TAS: annotated masks as proposals, and regions kept per image and phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed
from wordmask.methods.tas.embedded import CompactRegions
from wordmask.methods.tas.filtering import MaskFilter
from wordmask.results import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wordmask.contracts import Encoded
    from wordmask.images import RgbImage
    from wordmask.methods.tas.regions import RegionSet
    from wordmask.methods.tas.segmenter import RegionModel
    from wordmask.ops.masks import PackedMask

EVERYTHING = MaskFilter(min_area=0, max_overlap=1.0)


class OracleSource:
    """A `ProposalSource` that answers with the masks that it was given last."""

    def __init__(self) -> None:
        self.masks: Sequence[PackedMask] = ()

    def propose(self, image: Encoded | RgbImage) -> tuple[Region, ...]:
        """Return the masks."""
        return tuple(Region(mask, 1.0, 1.0, mask.box) for mask in self.masks)


class OracleRegions(CompactRegions):
    """The embedded region model with annotated masks in place of proposals; `source.masks` are to be set first."""

    def __init__(self, model: CompactRegions) -> None:
        self.oracle = OracleSource()
        super().__init__(model.name, model.trunk, model.network, [self.oracle], names=model.names, keep=EVERYTHING)

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        """Return the masks alone, whatever the phrase."""
        found: RegionSet = encoded.features.regions(encoded.size)
        return found


class KeptRegions:
    """A `RegionModel` that keeps what another one answered about the current image, so that settings share it."""

    def __init__(self, model: RegionModel) -> None:
        self.model, self.name = model, model.name
        self._kept: dict[tuple[str, Presumed, bool], RegionSet] = {}
        self._texts: dict[str, Tensor] = {}
        self._features: Any = None

    def encode(self, image: RgbImage) -> Encoded:
        """Encode an image."""
        return self.model.encode(image)

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        """Return the regions for a phrase, computed once an image."""
        if encoded.features is not self._features:
            self._features, self._kept = encoded.features, {}
        key = (phrase, presumed, encoded.mirror is None)
        if key not in self._kept:
            self._kept[key] = self.model.regions(encoded, phrase, presumed=presumed)
        return self._kept[key]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, C) of texts, each computed once."""
        import torch

        fresh = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if fresh:
            self._texts |= dict(zip(fresh, self.model.embed_texts(fresh), strict=True))
        return torch.stack([self._texts[text] for text in texts])

    def presence(self, encoded: Encoded, phrase: str) -> float:
        """Return 1: presence decides nothing here."""
        return 1.0
