"""MaskFormer (Cheng et al., NeurIPS 2021, arXiv 2107.06278) by transformers, with a guide in its decoder.

A layer of its decoder, which is DETR's: self-attention, cross-attention to the coarsest feature map, feed-forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from wordmask.backbones.query_hosts.base import (
    AfterModule,
    BeforeDecoder,
    BeforeLayer,
    Guide,
    QueryHost,
    QueryOutputs,
    guided_by,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MaskFormerHost"]

_NORMS = {"post_sa": "self_attn_layer_norm", "post_ca": "encoder_attn_layer_norm", "post_ffn": "final_layer_norm"}
"""The norms that end the sub-layers of a post-norm layer."""


class MaskFormerHost(QueryHost):
    """transformers' `MaskFormerForInstanceSegmentation`."""

    default_position: ClassVar[str] = "post_ca"

    def __init__(self, model: Any, position: str | None = None) -> None:
        config = model.config.decoder_config
        self.channels, self.queries = int(config.hidden_size), int(config.num_queries)
        self.guided = len(model.model.transformer_module.decoder.layers)
        super().__init__(model, position)

    def insert(self) -> None:
        """Put the hooks into the decoder."""
        decoder = self.model.model.transformer_module.decoder
        names = ("inputs_embeds", "object_queries_position_embeddings")
        decoder.register_forward_pre_hook(BeforeDecoder(*names, batch_second=False), with_kwargs=True)
        for index, layer in enumerate(decoder.layers):
            if self.position == "pre":
                layer.register_forward_pre_hook(BeforeLayer(index))
            else:
                getattr(layer, _NORMS[self.position]).register_forward_hook(AfterModule(index))

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the per-pixel embeddings at stride 4 and the feature map at stride 32."""
        output = self.model.model.pixel_level_module(pixels, False, return_dict=True)
        return output.decoder_last_hidden_state, output.encoder_last_hidden_state

    def decode(self, features: tuple[Tensor, ...], guide: Guide | None = None) -> QueryOutputs:
        """Return the proposals of every layer; the decoder's norm is applied to each, as the authors' code does."""
        with guided_by(guide):
            output = self.model.model.transformer_module(features[1], True, False)
        decoder = self.model.model.transformer_module.decoder
        layers = output.hidden_states[1 : self.guided]
        states = (*(decoder.layernorm(state) for state in layers), output.last_hidden_state)
        return QueryOutputs(tuple(self._masks(state, features[0]) for state in states), states)

    def _masks(self, states: Tensor, pixels: Tensor) -> Tensor:
        return torch.einsum("bqc, bchw -> bqhw", self.model.mask_embedder(states), pixels)
