"""CRAM, the contextual recursive attention module: the image at four scales, informed by the vision encoder.

Recurrent residual units see the image itself, at a quarter of the canvas and below; at every scale, attention against
all intermediate embeddings reweights channels and mixes positions. The figure names the inputs; the inside is ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.imss.avamdr.fusion import RecurrentUnit

__all__ = ["LEVELS", "SCALES", "Cram"]

LEVELS = 4
"""Intermediate embeddings that it reads."""
SCALES = 4


class Cram(nn.Module):
    """Features of the image at strides 4, 8, 16 and 32.

    Args:
        channels: Width of the vision encoder.
        widths: Channels of the four scales.
        memory: Channels that each intermediate embedding keeps.
        side: Attention sees maps averaged to `side x side` cells.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], *, memory: int = 32, side: int = 16) -> None:
        super().__init__()
        self.side = side
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, stride=4, padding=3), nn.GroupNorm(1, widths[0]), nn.ReLU()
        )
        given = (widths[0], *widths[:-1])
        self.units = nn.ModuleList([RecurrentUnit(a, b) for a, b in zip(given, widths, strict=True)])
        self.memories = nn.ModuleList([nn.Conv2d(channels, memory, 1) for _ in range(LEVELS)])
        self.attentions = nn.ModuleList([_DualAttention(width, LEVELS * memory) for width in widths])
        self.gates = nn.Parameter(torch.zeros(SCALES))

    def forward(self, pixels: Tensor, levels: tuple[Tensor, ...]) -> list[Tensor]:
        """Describe images.

        Args:
            pixels: float `(B, 3, S, S)`, normalised.
            levels: Intermediate embeddings, each float `(B, h, w, channels)`.

        Returns:
            Maps `(B, widths[s], S / 4 / 2^s, S / 4 / 2^s)`.
        """
        maps = [memory(level.permute(0, 3, 1, 2)) for memory, level in zip(self.memories, levels, strict=True)]
        memory = F.adaptive_avg_pool2d(torch.cat(maps, dim=1), self.side).flatten(2).transpose(1, 2)  # (B, P, 4 * 32)
        cells, result = self.stem(pixels), []
        for scale, (unit, attention) in enumerate(zip(self.units, self.attentions, strict=True)):
            cells = unit(cells if scale == 0 else F.max_pool2d(cells, 2))
            tokens = F.adaptive_avg_pool2d(cells, self.side).flatten(2).transpose(1, 2)
            read = attention(tokens, memory).transpose(1, 2).unflatten(2, (self.side, self.side))
            raised = F.interpolate(read, cells.shape[2:], mode="bilinear", align_corners=False)
            cells = cells + self.gates[scale] * raised
            result.append(cells)
        return result


class _DualAttention(nn.Module):
    """Attention over channels, then over positions, against a memory.

    Args:
        channels: Channels of the scale.
        memory: Channels of the memory.
    """

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__()
        self.norm, self.memory_norm = nn.LayerNorm(channels), nn.LayerNorm(memory)
        self.channel_query, self.channel_out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.channel_key, self.channel_value = nn.Linear(memory, memory), nn.Linear(memory, memory)
        self.place_query, self.place_key = nn.Linear(memory, memory), nn.Linear(memory, memory)
        self.place_value, self.place_out = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Tokens (B, P, C) and memory (B, P, M) -> (B, P, C)."""
        own, other = self.norm(tokens), self.memory_norm(memory)
        query, key = self.channel_query(own).transpose(1, 2), self.channel_key(other).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key, self.channel_value(other).transpose(1, 2))  # (B, C, P)
        tokens = tokens + self.channel_out(mixed.transpose(1, 2))
        value = self.place_value(self.norm(tokens))
        mixed = F.scaled_dot_product_attention(self.place_query(other), self.place_key(other), value)
        read: Tensor = tokens + self.place_out(mixed)
        return read
