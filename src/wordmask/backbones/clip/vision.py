"""CLIP's vision tower, a Vision Transformer (arXiv 2010.11929), that returns the activations of chosen blocks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.backbones.clip.block import take_blocks
from wordmask.backbones.position_table import resize_position_table
from wordmask.backbones.token_mask import masked_attention
from wordmask.ops.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.backbones.token_mask import TokenMask

TABLES_KEPT = 16
"""Position tables of that many image shapes stay in memory (1.5 MB each at 352 px)."""


class VisionTower(nn.Module):
    """Encode images as activations of chosen blocks, or as one embedding.

    Height and width must be multiples of the patch size; the grid of patches need not be square. The weights are
    frozen.

    Args:
        kind: `"clip"` or `"vit"`: what the weights are.
        patches: Convolution of images (B, 3, H, W) to patch embeddings (B, C, h, w).
        class_token: float (C,).
        positions: Position table, float (1 + n * n, C), class token first.
        norm_in: Applied to the tokens before the first block.
        blocks: Transformer blocks, tokens (B, L, C) -> (B, L, C).
        norm_out: Applied to the class token before the projection.
        projection: From C to the channels of the embedding.
        extract_layers: Blocks (from 0) whose outputs are the activations.
    """

    def __init__(
        self,
        kind: str,
        *,
        patches: nn.Conv2d,
        class_token: nn.Parameter,
        positions: nn.Parameter,
        norm_in: nn.Module,
        blocks: nn.ModuleList,
        norm_out: nn.Module,
        projection: nn.Module,
        extract_layers: Sequence[int],
    ) -> None:
        super().__init__()
        self.kind = kind
        self.extract_layers = tuple(extract_layers)
        self.patch = patches.kernel_size[0]
        self.class_token, self.positions = class_token, positions
        self.patches = patches
        self.norm_in, self.norm_out = norm_in, norm_out
        self.blocks = blocks
        self.projection = projection
        self._tables = BoundedCache[tuple[int, int, torch.dtype, torch.device], Tensor](TABLES_KEPT)
        self.requires_grad_(False)

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Return rows h and columns w of patches in images (B, 3, H, W)."""
        return pixels.shape[2] // self.patch, pixels.shape[3] // self.patch

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the activations of the extracted blocks, shallow to deep; blocks after the last one do not run.

        Args:
            pixels: float (B, 3, H, W), normalised.

        Returns:
            Tensors (B, 1 + h * w, C), class token first.
        """
        tokens, activations = self.embed(pixels), {}
        for index, block in enumerate(self.blocks[: max(self.extract_layers) + 1]):
            tokens = block(tokens)  # (B, 1 + h * w, C)
            if index in self.extract_layers:
                activations[index] = tokens
        return [activations[layer] for layer in self.extract_layers]

    def pooled(self, pixels: Tensor, token_mask: TokenMask | None = None) -> Tensor:
        """Return embeddings (B, projected channels) of whole images: the projected class token, not normalised.

        Args:
            pixels: float (B, 3, H, W), normalised.
            token_mask: Limits attention to a part of the images.
        """
        tokens = self.embed(pixels)
        attend = partial(masked_attention, factors=token_mask.factors(self.grid(pixels))) if token_mask else None
        for index, block in enumerate(self.blocks):
            masked = token_mask is not None and token_mask.applies_to(index)
            tokens = block(tokens, attend if masked else None)
        out: Tensor = self.projection(self.norm_out(tokens[:, 0]))
        return out

    def dense(self, pixels: Tensor) -> Tensor:
        """Return embeddings of all patches, float (B, projected channels, h, w), not normalised.

        The last block passes on its values without mixing them, so that each patch keeps its own content and lies in
        the space of the phrases (MaskCLIP, Zhou et al., ECCV 2022, arXiv 2112.01071, section 3.2).

        Args:
            pixels: float (B, 3, H, W), normalised.
        """
        tokens, (height, width) = self.embed(pixels), self.grid(pixels)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        tokens = self.blocks[-1](tokens, lambda query, key, value: value)
        embedded: Tensor = self.projection(self.norm_out(tokens[:, 1:]))  # (B, h * w, projected channels)
        return embedded.transpose(1, 2).reshape(len(pixels), -1, height, width)

    def embed(self, pixels: Tensor) -> Tensor:
        """Return the tokens (B, 1 + h * w, C) before the first block, class token first."""
        patches = self.patches(pixels).flatten(2).transpose(1, 2)  # (B, h * w, C)
        tokens = torch.cat([self.class_token.expand(len(pixels), 1, -1), patches], dim=1)  # (B, 1 + h * w, C)
        out: Tensor = self.norm_in(tokens + self._table(self.grid(pixels), tokens))
        return out

    def _table(self, grid: tuple[int, int], like: Tensor) -> Tensor:
        """The position table (1 + h * w, C) of a grid in the precision and on the device of `like`."""
        key = (*grid, like.dtype, like.device)
        return self._tables.get_or_compute(key, lambda: resize_position_table(self.positions, *grid).to(like))


def clip_vision_tower(clip: Any, *, extract_layers: Sequence[int]) -> VisionTower:
    """Turn the vision tower of a CLIP model into a `VisionTower`.

    Args:
        clip: A model of `build_clip` with its weights, which are taken over; its vision tower has no blocks afterwards.
        extract_layers: Blocks (from 0) whose outputs are returned.

    Raises:
        CheckpointError: If the blocks' activation function is one that CLIP does not use.
    """
    vision, config = clip.vision_model, clip.vision_model.config
    return VisionTower(
        "clip",
        patches=vision.embeddings.patch_embedding,
        class_token=vision.embeddings.class_embedding,
        positions=vision.embeddings.position_embedding.weight,
        norm_in=vision.pre_layrnorm,
        blocks=take_blocks(vision.encoder.layers, config.num_attention_heads, config.hidden_act),
        norm_out=vision.post_layernorm,
        projection=clip.visual_projection,
        extract_layers=extract_layers,
    )
