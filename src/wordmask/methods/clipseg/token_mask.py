"""Attention that looks at a part of the picture only (CLIPSeg's study of visual prompts, arXiv 2112.10003, table 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class TokenMask:
    """Where attention may look, how it is told, and in which blocks.

    The paper multiplies the attention scores of masked tokens by zero before the softmax, which weakens them (a score
    of zero still gets a share) rather than hiding them; so does this.

    Attributes:
        mask: (B, H, W), nonzero on the thing, any resolution; reduced to the token grid by nearest neighbour.
        kind: `"cls_token"` masks what the class token sees of the patches, `"all"` what patches see of each other.
        layers: Blocks (from 0) in which it applies; None means all.
    """

    mask: Tensor
    kind: Literal["cls_token", "all"] = "cls_token"
    layers: tuple[int, ...] | None = None

    def applies_to(self, layer: int) -> bool:
        """Whether block number `layer` is masked."""
        return self.layers is None or layer in self.layers

    def factors(self, grid: tuple[int, int]) -> Tensor:
        """What to multiply the scores by: float (B, 1, 1 + h * w, 1 + h * w), the 1 standing for the heads."""
        reduced = F.interpolate((self.mask != 0).float().unsqueeze(1), size=grid, mode="nearest").flatten(1)
        length = reduced.shape[1] + 1
        factors = torch.ones(len(reduced), length, length, device=reduced.device)
        rows = slice(0, 1) if self.kind == "cls_token" else slice(1, None)
        factors[:, rows, 1:] = reduced.unsqueeze(1)
        return factors.unsqueeze(1)
