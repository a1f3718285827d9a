"""EoMT (Kerssies et al., CVPR 2025, arXiv 2503.19108) by transformers, with a guide in its last blocks.

An encoder-only model: its queries are tokens beside the patches in the last blocks of a plain ViT. One attention serves
as self- and cross-attention, so the positions `post_sa` and `post_ca` are the same place. The blocks are pre-norm; a
guide after the attention changes the residual stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from wordmask.backbones.query_hosts.base import (
    _GUIDE,
    AfterModule,
    BeforeLayer,
    Guide,
    QueryHost,
    QueryOutputs,
    guided_by,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["EomtHost"]


class EomtHost(QueryHost):
    """transformers' `EomtForUniversalSegmentation`."""

    def __init__(self, model: Any, position: str | None = None) -> None:
        config = model.config
        self.channels, self.queries = int(config.hidden_size), int(config.num_queries)
        self.guided = int(config.num_blocks)
        super().__init__(model, position)

    @property
    def canvas(self) -> tuple[int, int]:
        """Its position table has one size."""
        return int(self.model.config.image_size), int(self.model.config.image_size)

    def insert(self) -> None:
        """Put the hooks into the last blocks."""
        for index, layer in enumerate(self.model.layers[-self.guided :]):
            if self.position == "pre":
                layer.register_forward_pre_hook(BeforeLayer(index, queries=self.queries))
            elif self.position == "post_ffn":
                layer.register_forward_hook(AfterModule(index, queries=self.queries))
            else:
                residual = _AfterAttention(index, queries=self.queries)
                layer.register_forward_pre_hook(residual.keep_input)
                layer.layer_scale1.register_forward_hook(residual)

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the tokens `(B, L, C)` in front of the blocks that have queries."""
        tokens = self.model.embeddings(pixels)
        for layer in self.model.layers[: -self.guided]:
            tokens = layer(tokens, None)
        return (tokens,)

    def decode(self, features: tuple[Tensor, ...], guide: Guide | None = None) -> QueryOutputs:
        """Return the proposals before every block whose attention is masked, and after the last."""
        tokens = features[0]
        queries = self.model.query.weight[None].expand(len(tokens), -1, -1)
        if guide is not None:
            queries = guide.start(queries, None)[0]
        tokens = torch.cat([queries, tokens], dim=1)
        masks, states = [], []
        with guided_by(guide):
            for index, layer in enumerate(self.model.layers[-self.guided :]):
                attention = None
                if self.training or self.model.attn_mask_probs[index] > 0:
                    normed = self.model.layernorm(tokens)
                    masks.append(self.model.predict(normed)[0])
                    states.append(normed[:, : self.queries])
                    attention = self._attention(masks[-1], tokens, self.model.attn_mask_probs[index])
                tokens = layer(tokens, attention)
        normed = self.model.layernorm(tokens)
        masks.append(self.model.predict(normed)[0])
        return QueryOutputs(tuple(masks), (*states, normed[:, : self.queries]))

    def part_of(self, name: str) -> str:
        """Return the part that a weight belongs to; blocks in front of the queries are the backbone."""
        first = len(self.model.layers) - self.guided
        is_early = name.startswith("layers.") and int(name.split(".")[1]) < first
        return "backbone" if is_early or name.startswith("embeddings") else super().part_of(name)

    def pixel_map(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return the patches `(B, C, h, w)`."""
        patches = features[0][:, self.model.embeddings.num_prefix_tokens :]
        height, width = self.model.grid_size
        return patches.transpose(1, 2).reshape(len(patches), -1, height, width)

    def _attention(self, masks: Tensor, tokens: Tensor, probability: Tensor) -> Tensor:
        """Additive attention mask `(B, heads, L, L)`: queries see the patches inside their mask, and all queries."""
        batch, length = tokens.shape[:2]
        allowed = torch.ones(batch, length, length, device=tokens.device, dtype=torch.bool)
        first = self.queries + self.model.embeddings.num_prefix_tokens
        inside = F.interpolate(masks, size=self.model.grid_size, mode="bilinear").flatten(2) > 0
        allowed[:, : self.queries, first:] = inside
        allowed = self.model._disable_attention_mask(allowed, probability, self.queries, first, tokens.device)
        allowed = allowed[:, None].expand(-1, self.model.config.num_attention_heads, -1, -1)
        additive: Tensor = allowed.float().masked_fill(~allowed, -1e9)
        return additive


class _AfterAttention(AfterModule):
    """Guides the residual stream after a block's attention: a hook on the module that scales what is added to it."""

    def keep_input(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Keep the block's input, the residual stream, with the guide of the call until its attention is done."""
        guide: Any = _GUIDE.get()
        if guide is not None:
            guide.residual = inputs[0]

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        guide: Any = _GUIDE.get()
        if guide is None:
            return None
        stream, count = guide.residual, int(self.queries or 0)
        before = stream[:, :count] + output[:, :count]
        change = guide.layer(self.index, before) - before
        return torch.cat([output[:, :count] + change, output[:, count:]], dim=1)
