"""CLIPSeg's mask decoder (Lüddecke and Ecker, arXiv 2112.10003, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.methods.clipseg.decoder_block import DecoderBlock
from wordmask.methods.clipseg.head import build_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.methods.clipseg.config import ClipSegConfig

__all__ = ["MaskDecoder", "ReducedActivations"]


class ReducedActivations(NamedTuple):
    """Encoder activations of B images, projected to the decoder's channels; they do not depend on the prompt.

    Attributes:
        class_tokens: (B, K, D), of the K extracted blocks, deepest first.
        patch_tokens: (B, K, h, w, D), likewise.
    """

    class_tokens: Tensor
    patch_tokens: Tensor


class MaskDecoder(nn.Module):
    """K post-norm transformer blocks over projected activations, deepest first, conditioned on the prompt by FiLM.

    Parameter names are those of the original files, which therefore load without renaming.

    Args:
        config: Sizes.
        dropout: Dropout rate in training.
    """

    kind = ""

    def __init__(self, config: ClipSegConfig, *, dropout: float = 0.1) -> None:
        super().__init__()
        channels, depth = config.reduce_dim, len(config.extract_layers)
        self.conditional_layer = config.conditional_layer
        self.reduces = nn.ModuleList(nn.Linear(config.width, channels) for _ in range(depth))
        self.film_mul = nn.Linear(config.projection_dim, channels)
        self.film_add = nn.Linear(config.projection_dim, channels)
        self.blocks = nn.ModuleList(
            DecoderBlock(channels, config.heads, config.feedforward, dropout=dropout) for _ in range(depth)
        )
        self.trans_conv = build_head(channels, config.patch, refined=config.refined)

    def reduce(self, activations: Sequence[Tensor], grid: tuple[int, int]) -> ReducedActivations:
        """Project the encoder's activations, once for an image and all its prompts.

        Args:
            activations: K tensors (B, 1 + h * w, C), shallow to deep, class token first.
            grid: (h, w).
        """
        deepest_first = [reduce(tokens) for reduce, tokens in zip(self.reduces, reversed(activations), strict=True)]
        tokens = torch.stack(deepest_first, dim=1)  # (B, K, 1 + h * w, D)
        batch, depth, _, channels = tokens.shape
        return ReducedActivations(tokens[:, :, 0], tokens[:, :, 1:].reshape(batch, depth, *grid, channels))

    def forward(self, activations: ReducedActivations, conditions: Tensor) -> Tensor:
        """Decode P prompts.

        Args:
            activations: Of P images, or of one that all prompts share.
            conditions: (P, C).

        Returns:
            Logits (P, h * patch, w * patch).
        """
        class_tokens, patch_tokens = activations
        grid = patch_tokens.shape[2:4]
        levels = torch.cat([class_tokens.unsqueeze(2), patch_tokens.flatten(2, 3)], dim=2)  # (P or 1, K, 1 + h * w, D)
        tokens = levels[:, 0]
        for index, block in enumerate(self.blocks):
            tokens = tokens + levels[:, index] if index else tokens
            if index == self.conditional_layer:  # from here on (P, 1 + h * w, D)
                tokens = self.film_mul(conditions)[:, None] * tokens + self.film_add(conditions)[:, None]
            tokens = block(tokens)
        logits: Tensor = self.trans_conv(tokens[:, 1:].reshape(len(tokens), *grid, -1))
        return logits
