"""A compact network whose parts are graphs, as a `DenseModel`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.contracts import DenseOutput
from wordmask.methods.compact.mask_decoder import ImageFeatures
from wordmask.methods.compact.method import CompactFeatures, CompactModel, KeptFeatures
from wordmask.ops.resize import normalised, place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenizers import Tokenizer

    from wordmask.backbones.graphs import Graph
    from wordmask.methods.compact.settings import CompactSettings
    from wordmask.prompts import VisualPrompt

__all__ = ["GRAPHS", "ExportedModel"]

GRAPHS = ("image", "text", "decoder", "example")
"""The graphs of a folder."""
MAPS = ("fine", "coarse", "pixel", "scene")
"""Outputs of the image graph that make up `ImageFeatures`, in their order."""


class ExportedModel(CompactModel):
    """A compact network run by graphs; masks and presences leave the decoder's graph calibrated.

    Args:
        name: What messages and results call the model.
        graphs: One for each of `GRAPHS`.
        tokenizer: Of the text graph.
        settings: Inference settings of the network.
        length: Tokens of the longest phrase.
        channels: Channels of a condition.
    """

    exportable = False

    def __init__(
        self, name: str, graphs: Mapping[str, Graph], tokenizer: Tokenizer, settings: CompactSettings, *, length: int,
        channels: int,
    ) -> None:  # fmt: skip
        self.graphs = graphs
        network: Any = SimpleNamespace(text=_TextGraph(graphs["text"], length, channels))
        super().__init__(name, network, tokenizer, settings)

    def encode_pixels(self, pixels: Tensor) -> CompactFeatures:
        """Return the features of normalised pixels, float32 (B, 3, H, W); the pyramid is left out."""
        found = [self.graphs["image"].run({"pixels": image[None]}) for image in pixels]
        whole = found[0] if len(found) == 1 else {name: torch.cat([one[name] for one in found]) for name in found[0]}
        return CompactFeatures((), ImageFeatures(*(whole[name] for name in MAPS)), whole["affinity"])

    def features_to_keep(self, features: CompactFeatures | KeptFeatures) -> CompactFeatures | KeptFeatures:
        """Return features as they are: the decoder's graph takes all of them."""
        return features

    def decode(self, features: CompactFeatures | KeptFeatures, conditions: Tensor) -> DenseOutput:
        """Return calibrated mask logits (P, h, w) at stride 4 and presence probabilities (P,) of one image.

        Args:
            features: Of one image.
            conditions: (P, C).
        """
        maps = dict(zip(MAPS, features.maps, strict=True))
        found = self.graphs["decoder"].run({**maps, "affinity": features.affinity, "conditions": conditions})
        return DenseOutput(found["logits"], found["presence"])

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Return presence probabilities as they are: the graph has calibrated them."""
        return logits

    def _embed_example(self, prompt: VisualPrompt) -> Tensor:
        self.check_mode(prompt)
        image, placement = prompt.example, self.canvas(prompt.example.size)
        pixels = normalised(place(image.pixels, placement), self.mean, self.std)
        features = self.encode_pixels(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        mask = torch.from_numpy(prompt.region.astype(np.float32))[None, None]
        cells = F.interpolate(mask, size=features.maps.fine.shape[-2:], mode="area")[0]  # (1, h, w)
        inputs = {"pixel": features.maps.pixel, "coarse": features.maps.coarse, "mask": cells}
        return self.graphs["example"].run(inputs)["vectors"][0]


class _TextGraph:
    """The text graph as `PhraseEncoder` calls a network."""

    def __init__(self, graph: Graph, length: int, channels: int) -> None:
        self.graph, self.length, self.channels = graph, length, channels
        self.position = torch.zeros(1)  # tells the device

    def __call__(self, ids: Tensor, padding: Tensor) -> Tensor:
        return self.graph.run({"ids": ids, "padding": padding})["vectors"]
