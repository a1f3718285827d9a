"""CLIP-Deconv, the paper's baseline without attention (arXiv 2112.10003, section 4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.clipseg.head import PlainHead


class DeconvDecoder(nn.Module):
    """One read-out, FiLM, two layers per token and the plain head.

    Args:
        width: Channels of the read-out.
        channels: Channels D.
        condition: Channels C of the condition.
        patch: Side of a cell in pixels.
    """

    def __init__(self, width: int = 768, *, channels: int = 64, condition: int = 512, patch: int = 16) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, channels)
        self.film_mul = nn.Linear(condition, channels)
        self.film_add = nn.Linear(condition, channels)
        self.reduce2 = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.trans_conv = PlainHead(channels, patch)

    def forward(self, readout: Tensor, conditions: Tensor, grid: tuple[int, int]) -> Tensor:
        """Decode P prompts.

        Args:
            readout: (P or 1, 1 + h * w, width), class token first.
            conditions: (P, C).
            grid: (h, w).

        Returns:
            Logits (P, h * patch, w * patch).
        """
        tokens = self.reduce(readout[:, 1:])
        tokens = self.film_mul(conditions)[:, None] * tokens + self.film_add(conditions)[:, None]
        tokens = self.reduce2[2](F.relu(self.reduce2[0](tokens)))
        logits: Tensor = self.trans_conv(tokens.view(len(tokens), *grid, -1))
        return logits
