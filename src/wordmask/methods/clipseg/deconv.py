"""CLIP-Deconv, the paper's baseline without attention in the decoder (arXiv 2112.10003, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.clipseg.decoder import ReducedActivations
from wordmask.methods.clipseg.head import build_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.methods.clipseg.config import ClipSegConfig

__all__ = ["DeconvDecoder"]


class ReduceLast(nn.Linear):
    """Linear projection of the deepest activations; in the original files its weights are called `reduce`."""

    def forward(self, activations: Sequence[Tensor], grid: tuple[int, int]) -> ReducedActivations:  # type: ignore[override]
        """Project the encoder's last activations, once for an image and all its prompts.

        Args:
            activations: Tensors (B, 1 + h * w, C), shallow to deep, class token first.
            grid: (h, w).
        """
        tokens = super().forward(activations[-1]).unsqueeze(1)  # (B, 1, 1 + h * w, D)
        return ReducedActivations(tokens[:, :, 0], tokens[:, :, 1:].reshape(len(tokens), 1, *grid, -1))


class DeconvDecoder(nn.Module):
    """FiLM on the deepest activations, a two-layer perceptron per token, and a head.

    `reduce` and `forward` have the interface of `MaskDecoder`.

    Args:
        config: Sizes.
    """

    kind = "-deconv"

    def __init__(self, config: ClipSegConfig) -> None:
        super().__init__()
        channels, condition = config.reduce_dim, config.projection_dim
        self.reduce = ReduceLast(config.width, channels)
        self.film_mul = nn.Linear(condition, channels)
        self.film_add = nn.Linear(condition, channels)
        self.reduce2 = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.trans_conv = build_head(channels, config.patch, refined=config.refined)

    def forward(self, activations: ReducedActivations, conditions: Tensor) -> Tensor:
        """Decode P prompts.

        Args:
            activations: Of P images, or of one that all prompts share.
            conditions: (P, C).

        Returns:
            Logits (P, h * patch, w * patch).
        """
        patch_tokens = activations.patch_tokens  # (P or 1, K, h, w, D)
        grid = patch_tokens.shape[2:4]
        tokens = patch_tokens[:, -1].flatten(1, 2)  # (P or 1, h * w, D)
        tokens = self.film_mul(conditions)[:, None] * tokens + self.film_add(conditions)[:, None]
        tokens = self.reduce2[2](F.relu(self.reduce2[0](tokens)))
        logits: Tensor = self.trans_conv(tokens.view(len(tokens), *grid, -1))
        return logits
