"""Mask2Former (Cheng et al., CVPR 2022, arXiv 2112.01527) by transformers, with a guide in its decoder.

A layer of its decoder: masked cross-attention, self-attention, feed-forward. The masks that each output predicts, cut
at probability 0.5, limit the cross-attention of the next layer; a query whose mask is empty attends everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.backbones.query_hosts.base import (
    AfterModule,
    BeforeDecoder,
    BeforeLayer,
    Guide,
    QueryHost,
    QueryOutputs,
    guided_by,
)
from wordmask.errors import CheckpointError, sentence

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Mask2FormerHost"]

_NORMS = {"post_ca": "cross_attn_layer_norm", "post_sa": "self_attn_layer_norm", "post_ffn": "final_layer_norm"}
"""The norms that end the sub-layers of a post-norm layer."""


class Mask2FormerHost(QueryHost):
    """transformers' `Mask2FormerForUniversalSegmentation`."""

    def __init__(self, model: Any, position: str | None = None) -> None:
        decoder = model.model.transformer_module.decoder
        if model.config.pre_norm:
            got = "a Mask2Former with pre_norm"
            raise CheckpointError(sentence(got, "one with post-norm layers", "choose one of the published checkpoints"))
        self.channels, self.queries = int(model.config.hidden_dim), int(model.config.num_queries)
        self.guided = len(decoder.layers)
        super().__init__(model, position)

    def insert(self) -> None:
        """Put the hooks into the decoder."""
        decoder = self.model.model.transformer_module.decoder
        decoder.register_forward_pre_hook(
            BeforeDecoder("inputs_embeds", "query_position_embeddings", batch_second=True), with_kwargs=True
        )
        for index, layer in enumerate(decoder.layers):
            if self.position == "pre":
                layer.register_forward_pre_hook(BeforeLayer(index, batch_second=True))
            else:
                norm = getattr(layer, _NORMS[self.position])
                norm.register_forward_hook(AfterModule(index, batch_second=True))

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the per-pixel embeddings at stride 4, then feature maps at strides 32, 16 and 8."""
        output = self.model.model.pixel_level_module(pixel_values=pixels, output_hidden_states=False)
        return (output.decoder_last_hidden_state, *output.decoder_hidden_states)

    def decode(self, features: tuple[Tensor, ...], guide: Guide | None = None) -> QueryOutputs:
        """Return the proposals of the initial queries and of every layer."""
        with guided_by(guide):
            output = self.model.model.transformer_module(
                multi_scale_features=list(features[1:]), mask_features=features[0], output_hidden_states=True
            )
        states = tuple(state.transpose(0, 1) for state in output.intermediate_hidden_states)
        return QueryOutputs(tuple(output.masks_queries_logits), states)
