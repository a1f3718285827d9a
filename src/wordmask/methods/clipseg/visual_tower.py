"""CLIP's vision tower as CLIPSeg uses it: read out in the middle, stopped after the last read-out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.backbones.clip_block import take_blocks
from wordmask.methods.clipseg.position_table import resize_position_table
from wordmask.ops.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.methods.clipseg.token_mask import TokenMask

TABLES_KEPT = 16
"""Position tables of that many picture shapes stay in memory (1.5 MB each at 352 px)."""

PositionTables = BoundedCache[tuple[int, int, torch.dtype, torch.device], Tensor]
"""Resized tables by (rows, columns, precision, device)."""


class VisualTower(nn.Module):
    """Pictures to read-outs, or to one condition vector.

    Any height and width that the patch size divides will do; the grid need not be square.

    Args:
        clip: A CLIP model with its weights; its vision tower is taken over and left empty of blocks.
        extract_layers: Blocks (from 0) whose outputs the read-outs are.
    """

    kind = "clipseg"

    def __init__(self, clip: Any, *, extract_layers: Sequence[int]) -> None:
        super().__init__()
        vision, config = clip.vision_model, clip.vision_model.config
        self.extract_layers = tuple(extract_layers)
        self.patch = int(config.patch_size)
        self.patches = vision.embeddings.patch_embedding
        self.class_token = vision.embeddings.class_embedding
        self.positions = vision.embeddings.position_embedding.weight
        self.norm_in, self.norm_out = vision.pre_layrnorm, vision.post_layernorm
        self.blocks = take_blocks(vision.encoder.layers, config.num_attention_heads, config.hidden_act)
        self.projection = clip.visual_projection
        self._tables = PositionTables(TABLES_KEPT)
        self.requires_grad_(False)

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Rows and columns of patches in pictures (B, 3, H, W)."""
        return pixels.shape[2] // self.patch, pixels.shape[3] // self.patch

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Read-outs of normalised pictures (B, 3, H, W): tensors (B, 1 + h * w, C), shallow to deep.

        The blocks after the last read-out do not run.
        """
        tokens, readouts = self._embed(pixels), {}
        for index, block in enumerate(self.blocks[: max(self.extract_layers) + 1]):
            tokens = block(tokens)
            if index in self.extract_layers:
                readouts[index] = tokens
        return [readouts[layer] for layer in self.extract_layers]

    def pooled(self, pixels: Tensor, token_mask: TokenMask | None = None) -> Tensor:
        """Condition vectors (B, channels) of whole pictures (B, 3, H, W): the projected class token, not normalised.

        Args:
            pixels: Normalised pictures.
            token_mask: Lets attention look at a part of them only.
        """
        tokens = self._embed(pixels)
        attend = None if token_mask is None else partial(weakened, factors=token_mask.factors(self.grid(pixels)))
        for index, block in enumerate(self.blocks):
            masked = token_mask is not None and token_mask.applies_to(index)
            tokens = block(tokens, attend if masked else None)
        out: Tensor = self.projection(self.norm_out(tokens[:, 0]))
        return out

    def _embed(self, pixels: Tensor) -> Tensor:
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(pixels), 1, -1), patches], dim=1)
        out: Tensor = self.norm_in(tokens + self._table(self.grid(pixels), tokens))
        return out

    def _table(self, grid: tuple[int, int], like: Tensor) -> Tensor:
        key = (*grid, like.dtype, like.device)
        return self._tables.get_or_compute(key, lambda: resize_position_table(self.positions, *grid).to(like))


def weakened(query: Tensor, key: Tensor, value: Tensor, *, factors: Tensor) -> Tensor:
    """Attention whose scores are multiplied by `factors` (B, 1, L, L) before the softmax."""
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    return torch.softmax(scores * factors.to(scores.dtype), dim=-1) @ value
