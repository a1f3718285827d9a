"""Attention limited to a part of the image (CLIPSeg's study of visual prompts, arXiv 2112.10003, table 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["TokenMask", "masked_attention"]


@dataclass(frozen=True)
class TokenMask:
    """Where attention is reduced, how, and in which blocks.

    As in the paper, the attention scores of masked tokens are multiplied by zero before the softmax. This reduces
    their weight but does not remove them: exp(0) is not zero.

    Attributes:
        mask: (B, H, W), nonzero on the object, any resolution; reduced to the token grid by nearest neighbour.
        kind: `"cls_token"` masks the attention of the class token to patches, `"all"` that of patches to patches.
        layers: Blocks (from 0) in which it applies; None means all.
    """

    mask: Tensor
    kind: Literal["cls_token", "all"] = "cls_token"
    layers: tuple[int, ...] | None = None

    def applies_to(self, layer: int) -> bool:
        """Return whether block number `layer` is masked."""
        return self.layers is None or layer in self.layers

    def factors(self, grid: tuple[int, int]) -> Tensor:
        """Return factors of the attention scores: float (B, 1, 1 + h * w, 1 + h * w), to broadcast over the heads."""
        reduced = F.interpolate((self.mask != 0).float().unsqueeze(1), size=grid, mode="nearest").flatten(1)  # (B, hw)
        length = reduced.shape[1] + 1
        factors = torch.ones(len(reduced), length, length, device=reduced.device)
        rows = slice(0, 1) if self.kind == "cls_token" else slice(1, None)
        factors[:, rows, 1:] = reduced.unsqueeze(1)
        return factors.unsqueeze(1)


def masked_attention(query: Tensor, key: Tensor, value: Tensor, *, factors: Tensor) -> Tensor:
    """Softmax attention whose scores are multiplied by factors before the softmax.

    Args:
        query: (B, heads, L, D).
        key: (B, heads, L, D).
        value: (B, heads, L, D).
        factors: (B, 1, L, L).

    Returns:
        (B, heads, L, D).
    """
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5  # (B, heads, L, L)
    return torch.softmax(scores * factors.to(scores.dtype), dim=-1) @ value
