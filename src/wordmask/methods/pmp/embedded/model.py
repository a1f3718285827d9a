"""The compact network with a query decoder beside its dense one, as a `DenseModel` that can also propose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from wordmask.methods.compact.method import CompactFeatures
from wordmask.methods.pmp.embedded.features import GRIDS, ProposalFeatures, TrunkMaps
from wordmask.methods.pmp.embedded.grouping import CellMaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wordmask.contracts import DenseOutput
    from wordmask.methods.compact.mask_decoder import ImageFeatures
    from wordmask.methods.compact.method import CompactModel
    from wordmask.methods.pmp.embedded.network import ProposalNetwork
    from wordmask.methods.pmp.embedded.settings import ProposalSettings
    from wordmask.ops.geometry import Placement, Size
    from wordmask.prompts import Prompt

__all__ = ["Divided", "PmpFeatures", "ProposalModel", "Proposed", "trunk_maps"]


class PmpFeatures(NamedTuple):
    """Features of B images: those of the compact network (`CompactFeatures`), and those of the query decoder."""

    pyramid: tuple[Tensor, ...]
    maps: ImageFeatures
    affinity: Tensor
    proposals: ProposalFeatures

    @property
    def trunk(self) -> CompactFeatures:
        """The features of the compact network."""
        return CompactFeatures(self.pyramid, self.maps, self.affinity)


class Proposed(NamedTuple):
    """Proposals for one prompt, or without one.

    Attributes:
        masks: float32 `(N, h, w)`, logits; with a prompt, the last is that of the prompt's own query.
        quality: float32 `(N,)`, expected IoU.
        dense_quality: Expected IoU of the dense mask.
    """

    masks: NDArray[np.float32]
    quality: NDArray[np.float32]
    dense_quality: float


class Divided(NamedTuple):
    """What divides the mask of one prompt.

    Attributes:
        maps: Where the cells' instances have their centres.
        mask: float32 `(h, w)`, logits of the whole mask.
    """

    maps: CellMaps
    mask: NDArray[np.float32]


class ProposalModel:
    """A compact network and a query decoder on its trunk.

    Args:
        name: What messages and results call the model.
        compact: The trunk, with its dense decoder.
        network: The query decoder.
        settings: How proposals become an answer.
    """

    def __init__(self, name: str, compact: CompactModel, network: ProposalNetwork, settings: ProposalSettings) -> None:
        self.name = name
        self.compact = compact
        self.network = network
        self.settings = settings
        self.accepts = compact.accepts
        self.mean, self.std, self.chunk = compact.mean, compact.std, compact.chunk
        self.threshold = compact.threshold
        self.presence_threshold = compact.presence_threshold
        self.weak_part_ratio = compact.weak_part_ratio

    def canvas(self, size: Size) -> Placement:
        """Return the position of an image of `size = (H, W)` on the canvas, as for the compact network."""
        return self.compact.canvas(size)

    def encode_pixels(self, pixels: Tensor) -> PmpFeatures:
        """Return the features of normalised pixels, float32 `(B, 3, H, W)`."""
        trunk = self.compact.encode_pixels(pixels)
        return PmpFeatures(*trunk, self.features(trunk))

    def features(self, trunk: CompactFeatures | PmpFeatures) -> ProposalFeatures:
        """Return what the query decoder reads of the trunk's features, all that does not depend on prompts computed."""
        features = self.network.encode(trunk_maps(trunk))
        grids = tuple(self.network.mask_features.grid(features, stride) for stride in GRIDS)
        return features._replace(grids=grids, attended=self.network.attended(features))

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Return the embedding `(C,)` of a prompt, as the compact network makes it."""
        return self.compact.embed_prompt(prompt)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors `(P, C)` of phrases."""
        return self.compact.embed_texts(texts)

    def decode(self, features: PmpFeatures, conditions: Tensor) -> DenseOutput:
        """Return the dense masks and presences of prompts `(P, C)`: those of the compact network."""
        return self.compact.decode(features.trunk, conditions)

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Return presence probabilities, as the compact network does."""
        return self.compact.calibrate_presence(logits)

    def propose(self, features: ProposalFeatures, conditions: Tensor | None, dense: Tensor | None) -> list[Proposed]:
        """Return the proposals for each of P prompts, or for none.

        Args:
            features: Of one image.
            conditions: `(P, C)`, or None.
            dense: Calibrated dense logits `(P, h, w)`, or None.
        """
        phrases = None if conditions is None else conditions.unsqueeze(0)
        start = None
        if dense is not None and self.network.config.dense:
            start = dense.unsqueeze(0).to(features.fine.dtype)
        state = self.network(features, phrases, start)
        heads = state.heads[-1]
        grid = self.network.mask_features.grid(features)
        logits = heads.logits(grid.flatten(2), None if start is None else start.flatten(2))
        masks = _numbers(logits[0]).reshape(*logits.shape[1:3], *grid.shape[-2:])
        quality, dense_quality = _numbers(heads.quality[0].sigmoid()), _numbers(heads.dense_quality[0].sigmoid())
        return [Proposed(m, q, float(d)) for m, q, d in zip(masks, quality, dense_quality, strict=True)]

    def divide(self, features: ProposalFeatures, conditions: Tensor, dense: Tensor) -> list[Divided]:
        """Return what divides the masks of P prompts.

        Args:
            features: Of one image.
            conditions: `(P, C)`.
            dense: Calibrated dense logits `(P, h, w)`.
        """
        assert self.network.centres is not None
        start = dense.unsqueeze(0).to(features.fine.dtype)
        grid = self.network.mask_features.grid(features)
        maps = self.network.centres(features.centres[0], grid, conditions.unsqueeze(0), start)
        rows = zip(*(_numbers(part[0]) for part in maps), strict=True)
        return [Divided(CellMaps(offsets, sizes, heat), mask) for offsets, sizes, heat, mask in rows]


def trunk_maps(trunk: CompactFeatures | PmpFeatures) -> TrunkMaps:
    """Return the maps of the trunk that the query decoder reads."""
    return TrunkMaps(trunk.maps.fine, trunk.maps.coarse, trunk.pyramid[2], trunk.pyramid[3])


def _numbers(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.to("cpu", torch.float32).numpy()
    return array
