"""CLIP-Deconv, the paper's baseline without attention (arXiv 2112.10003, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.clipseg.decoder import Readouts
from wordmask.methods.clipseg.head import build_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.methods.clipseg.config import ClipSegConfig


class LastReadout(nn.Linear):
    """A linear map of the deepest read-out; in the original files its weights are called `reduce`."""

    def forward(self, readouts: Sequence[Tensor], grid: tuple[int, int]) -> Readouts:  # type: ignore[override]
        """Project the encoder's last read-out, once for a picture and all its prompts.

        Args:
            readouts: Tensors (B, 1 + h * w, width), shallow to deep, class token first.
            grid: (h, w).
        """
        tokens = super().forward(readouts[-1]).unsqueeze(1)
        return Readouts(tokens[:, :, 0], tokens[:, :, 1:].reshape(len(tokens), 1, *grid, -1))


class DeconvDecoder(nn.Module):
    """One read-out, FiLM, two layers per token and a head: `reduce` and `forward` as those of `MaskDecoder`.

    Args:
        config: The sizes.
    """

    kind = "-deconv"

    def __init__(self, config: ClipSegConfig) -> None:
        super().__init__()
        channels, condition = config.reduce_dim, config.projection_dim
        self.reduce = LastReadout(config.width, channels)
        self.film_mul = nn.Linear(condition, channels)
        self.film_add = nn.Linear(condition, channels)
        self.reduce2 = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.trans_conv = build_head(channels, config.patch, refined=config.refined)

    def forward(self, readouts: Readouts, conditions: Tensor) -> Tensor:
        """Decode P prompts.

        Args:
            readouts: Of P pictures, or of one that all prompts share.
            conditions: (P, C).

        Returns:
            Logits (P, h * patch, w * patch).
        """
        grid = readouts.cells.shape[2:4]
        tokens = readouts.cells[:, -1].flatten(1, 2)
        tokens = self.film_mul(conditions)[:, None] * tokens + self.film_add(conditions)[:, None]
        tokens = self.reduce2[2](F.relu(self.reduce2[0](tokens)))
        logits: Tensor = self.trans_conv(tokens.view(len(tokens), *grid, -1))
        return logits
