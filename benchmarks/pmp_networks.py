"""Query decoders of `benchmarks/pmp_experiment.py` that the library does not have: several names, other positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from wordmask.methods.pmp.embedded.network import STRIDES, DecoderLayer, ProposalNetwork, QueryState, _hidden
from wordmask.methods.pmp.text_query_attention import Memories, PromptGuidance, PromptTokens

if TYPE_CHECKING:
    from torch import Tensor

    from wordmask.methods.pmp.embedded.config import DecoderConfig
    from wordmask.methods.pmp.embedded.features import ProposalFeatures


class VocabularyNetwork(ProposalNetwork):
    """Queries read several names for each prompt: phrases are `(B, K, T, text)`, the prompt's own first.

    Args:
        config: Of the network.
        told: Whether the prompt is told apart from the other names, by learned embeddings of two kinds of tokens.
    """

    def __init__(self, config: DecoderConfig, told: bool) -> None:
        super().__init__(config)
        self.guidance = PromptGuidance(
            text_channels=config.text,
            channels=config.channels,
            layers=config.layers,
            heads=config.heads,
            gate=1.0,
            kinds=told,
        )

    def _initial(self, phrases: Tensor | None, images: int) -> tuple[Tensor, Tensor]:
        return super()._initial(None if phrases is None else phrases[:, :, 0], images)

    def _text(self, phrases: Tensor | None) -> Memories | None:
        assert phrases is not None
        assert self.guidance is not None
        tokens = phrases.flatten(0, 1)
        kinds = torch.ones(tokens.shape[:2], dtype=torch.long)
        kinds[:, 0] = 0
        memories: Memories | None = self.guidance(PromptTokens(tokens, kinds=kinds))
        return memories


class PositionedNetwork(ProposalNetwork):
    """Queries attend to the prompt elsewhere in a layer; weights and draws are those of `ProposalNetwork`.

    Args:
        config: Of the network; guided.
        position: `"pre"`: before the layer; `"post_ca"`: after its masked cross-attention to the image, which comes
            first; `"post_sa"`: after its self-attention, as the library does; `"post_ffn"`: after the layer.
    """

    def __init__(self, config: DecoderConfig, position: str) -> None:
        super().__init__(config)
        self.position = position

    def forward(self, features: ProposalFeatures, phrases: Tensor | None, dense: Tensor | None = None) -> QueryState:
        """Decode K prompts for each of B images, as `ProposalNetwork` does, without dense logits."""
        assert dense is None
        x, places = self._initial(phrases, len(features.fine))
        b, k, n, c = x.shape
        attended, memories = self.attended(features), self._text(phrases)
        maps = [self.mask_features.grid(features, stride).flatten(2) for stride in STRIDES]
        heads = [self.read(x, False)]
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            hidden = _hidden(heads[-1].logits(maps[i % len(STRIDES)], None)).flatten(1, 2)  # (B, K * N, cells)
            y = self._told("pre", i, x.reshape(b * k, n, c), memories, places)
            y = layer.look(y.reshape(b, k * n, c), places.repeat(k, 1), attended[i], hidden).view(b * k, n, c)
            y = self._told("post_ca", i, y, memories, places)
            y = self._told("post_sa", i, layer.mix(y, places), memories, places)
            x = self._told("post_ffn", i, layer.feed(y), memories, places).view(b, k, n, c)
            heads.append(self.read(x, False))
        return QueryState(x, heads)

    def _told(self, position: str, index: int, x: Tensor, memories: Memories | None, places: Tensor) -> Tensor:
        """Return the queries `(R, N, C)` after the prompt was read, if it is read at this position."""
        if position != self.position or self.guidance is None:
            return x
        guided: Tensor = self.guidance.guide(index, x, memories, places)
        return guided
