"""SAM's vision encoder: the final embedding and the outputs of the global-attention blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.backbones.sam.attention import FoldedAttention

__all__ = ["SamFeatures", "SamVision"]


class SamFeatures(NamedTuple):
    """What the vision encoder says about B images.

    Attributes:
        embedding: float `(B, 256, h, w)`, the final embedding.
        levels: For each global-attention block, its output float `(B, h, w, C)`; () where they are not wanted.
    """

    embedding: Tensor
    levels: tuple[Tensor, ...] = ()


class SamVision(nn.Module):
    """The vision encoder of SAM or SAM-HQ.

    Args:
        encoder: transformers' `SamVisionEncoder` or `SamHQVisionEncoder`; its attention layers are replaced.
        with_levels: Whether the intermediate embeddings are returned too.
    """

    def __init__(self, encoder: Any, *, with_levels: bool = False) -> None:
        super().__init__()
        self.encoder, self.with_levels = encoder, with_levels
        config = encoder.config
        self.size, self.patch = int(config.image_size), int(config.patch_size)
        self.channels = int(config.hidden_size)
        self.taps = tuple(int(index) for index in config.global_attn_indexes)
        if config.use_rel_pos:
            for layer in encoder.layers:
                layer.attn = FoldedAttention(layer.attn, layer.window_size or self.size // self.patch)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        weight: Tensor = next(self.encoder.parameters())
        return weight.dtype

    def forward(self, pixels: Tensor) -> SamFeatures:
        """Encode normalised pixels float `(B, 3, size, size)`."""
        cells = self.encoder.patch_embed(pixels.to(self.dtype))
        if self.encoder.pos_embed is not None:
            cells = cells + self.encoder.pos_embed
        levels = []
        for index, layer in enumerate(self.encoder.layers):
            cells = layer(cells)
            if self.with_levels and index in self.taps:
                levels.append(cells)
        return SamFeatures(self.encoder.neck(cells), tuple(levels))
