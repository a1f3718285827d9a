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


class Readouts(NamedTuple):
    """What the decoder needs to know of B pictures, whatever the prompt.

    Attributes:
        summary: (B, K, D): the class token of each of the K read-outs, deepest first, projected to D channels.
        cells: (B, K, h, w, D): the patch tokens likewise.
    """

    summary: Tensor
    cells: Tensor


class MaskDecoder(nn.Module):
    """K post-norm transformer blocks over projected read-outs, deepest first; FiLM brings the prompt in.

    Parameter names are those of the original files, which therefore load without renaming.

    Args:
        config: The sizes.
        dropout: Dropout in training.
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

    def reduce(self, readouts: Sequence[Tensor], grid: tuple[int, int]) -> Readouts:
        """Project the encoder's read-outs, once for a picture and all its prompts.

        Args:
            readouts: K tensors (B, 1 + h * w, width), shallow to deep, class token first.
            grid: (h, w).
        """
        deepest_first = [reduce(tokens) for reduce, tokens in zip(self.reduces, reversed(readouts), strict=True)]
        tokens = torch.stack(deepest_first, dim=1)
        batch, depth, _, channels = tokens.shape
        return Readouts(tokens[:, :, 0], tokens[:, :, 1:].reshape(batch, depth, *grid, channels))

    def forward(self, readouts: Readouts, conditions: Tensor) -> Tensor:
        """Decode P prompts.

        Args:
            readouts: Of P pictures, or of one that all prompts share.
            conditions: (P, C).

        Returns:
            Logits (P, h * patch, w * patch).
        """
        grid = readouts.cells.shape[2:4]
        levels = torch.cat([readouts.summary.unsqueeze(2), readouts.cells.flatten(2, 3)], dim=2)
        tokens = torch.zeros_like(levels[:, 0])
        for index, block in enumerate(self.blocks):
            tokens = tokens + levels[:, index]
            if index == self.conditional_layer:
                tokens = self.film_mul(conditions)[:, None] * tokens + self.film_add(conditions)[:, None]
            tokens = block(tokens)
        logits: Tensor = self.trans_conv(tokens[:, 1:].reshape(len(tokens), *grid, -1))
        return logits
