"""A classifier of queries by text: cosines of projected queries and names, with a learned "no object".

The form of the in-vocabulary heads of OVSeg (Liang et al., CVPR 2023) and FC-CLIP (Yu et al., NeurIPS 2023).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TextClassifier"]

INITIAL_SCALE = 1 / 0.07
LARGEST_SCALE = 100.0


class TextClassifier(nn.Module):
    """Compares queries with the embeddings of names, which need not have been trained.

    Args:
        channels: Width C of the queries.
        text_channels: Width D of the embeddings of names.
    """

    def __init__(self, channels: int, text_channels: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(channels, channels), nn.Linear(channels, text_channels)
        self.nothing = nn.Parameter(torch.randn(text_channels) * text_channels**-0.5)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def forward(self, states: Tensor, names: Tensor, absent: Tensor | None = None) -> Tensor:
        """Return logits `(B, Q, K + 1)`; the last column is "no object".

        Args:
            states: float `(B, Q, C)`.
            names: float unit vectors `(K, D)`, or `(B, K, D)` where images are asked for different names.
            absent: bool `(B, K)`, columns that stand for no name; their probability is 0.
        """
        embedded = F.normalize(self.out(F.relu(self.hidden(states))), dim=-1)  # (B, Q, D)
        names = names.expand(len(states), -1, -1)
        nothing = F.normalize(self.nothing, dim=-1).expand(len(states), 1, -1)
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        logits: Tensor = scale * embedded @ torch.cat([names.to(embedded), nothing.to(embedded)], dim=1).transpose(1, 2)
        return logits if absent is None else logits.masked_fill(F.pad(absent, (0, 1))[:, None], -1e4)
