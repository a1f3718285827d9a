"""Faster sampling in Mask2Former's pixel decoder on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wordmask.backbones.deformable_attention import deformable_sums

__all__ = ["SampledAttention", "use_fast_sampling"]


class SampledAttention(nn.Module):
    """Deformable attention with the weights of transformers' layer, under the same names.

    Samples are weighted sums of table rows (`deformable_sums`), and sampling locations stay float32 where matrix
    products are bfloat16. Where a gradient is needed, and off the CPU, transformers' own layer runs.

    Args:
        layer: transformers' `Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention`.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.sampling_offsets, self.attention_weights = layer.sampling_offsets, layer.attention_weights
        self.value_proj, self.output_proj = layer.value_proj, layer.output_proj
        self.heads, self.levels, self.points = layer.n_heads, layer.n_levels, layer.n_points
        self._original = (layer,)  # in a tuple, hidden from torch: its weights are these

    def forward(self, hidden_states: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        """Return attended tokens and attention weights; the arguments are those of transformers' layer."""
        if hidden_states.device.type != "cpu" or (torch.is_grad_enabled() and self.value_proj.weight.requires_grad):
            result: tuple[Tensor, Tensor] = self._original[0](hidden_states, **options)
            return result
        positions, source = options["position_embeddings"], options["encoder_hidden_states"]
        queries = hidden_states if positions is None else hidden_states + positions
        value = self.value_proj(source)
        if options.get("attention_mask") is not None:
            value = value.masked_fill(options["attention_mask"][..., None], 0.0)
        batch, length, channels = value.shape
        value = value.view(batch, length, self.heads, channels // self.heads)
        shape = (*queries.shape[:2], self.heads, self.levels, self.points)
        weights = self.attention_weights(queries).view(*shape[:3], -1).softmax(-1).view(shape)
        locations = self._locations(queries, options["reference_points"], options["spatial_shapes_list"], shape)
        sums = deformable_sums(value, options["spatial_shapes_list"], locations, weights)
        return self.output_proj(sums), weights

    def _locations(
        self, queries: Tensor, references: Tensor, shapes: list[tuple[int, int]], shape: tuple[int, ...]
    ) -> Tensor:
        """Sampling locations `(B, Q, heads, levels, points, 2)` as fractions of each level."""
        offsets = self.sampling_offsets(queries).view(*shape, 2).to(torch.promote_types(queries.dtype, torch.float32))
        sides = torch.tensor([[width, height] for height, width in shapes], device=offsets.device, dtype=offsets.dtype)
        locations: Tensor = references[:, :, None, :, None, :].to(offsets) + offsets / sides[:, None]
        return locations


def use_fast_sampling(model: Any) -> int:
    """Replace the deformable attention of a Mask2Former in place and return how many layers there were.

    Results differ from transformers' in the last bits.
    """
    layers = getattr(getattr(model.model.pixel_level_module.decoder, "encoder", None), "layers", ())
    for layer in layers:
        layer.self_attn = SampledAttention(layer.self_attn)
    return len(layers)
