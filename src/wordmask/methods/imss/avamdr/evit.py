"""EVIT, the enhanced vision integration transformer: attention over the depth of the vision encoder.

The system figure feeds three intermediate embeddings into it; its inside is not published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DEPTHS", "Evit"]

DEPTHS = 3
"""Intermediate embeddings that it reads: those of the first three global-attention blocks."""


class Evit(nn.Module):
    """Mix the intermediate embeddings of each cell: a transformer layer over depth, then weights that sum to 1.

    Args:
        channels: Width of the vision encoder.
        width: Channels of the result.
        heads: Attention heads.
    """

    def __init__(self, channels: int, width: int, *, heads: int = 8) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(DEPTHS)])
        self.projections = nn.ModuleList([nn.Linear(channels, width) for _ in range(DEPTHS)])
        self.places = nn.Parameter(torch.zeros(DEPTHS, width))
        self.layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.weights = nn.Linear(width, 1)
        nn.init.normal_(self.places, std=0.02)

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Embeddings, each float (B, h, w, channels) -> (B, width, h, w)."""
        placed = [
            projection(norm(level)) + place
            for norm, projection, place, level in zip(self.norms, self.projections, self.places, levels, strict=True)
        ]
        stack = torch.stack(placed, dim=3)  # (B, h, w, depth, width)
        batch, height, width, depth, channels = stack.shape
        rows = stack.view(-1, depth, channels)
        share = self.weights(self.layer(rows)).softmax(dim=1)  # (B * h * w, depth, 1)
        mixed: Tensor = (share * rows).sum(dim=1).view(batch, height, width, channels)
        return mixed.permute(0, 3, 1, 2)
