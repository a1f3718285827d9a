"""A part that keeps its precision in a network of a lower one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """A part that computes in float32 though the rest of the network does not, unless autocast rules over both.

    Args:
        part: With float32 weights.
        dtype: Of the result, which the parts behind it take.
    """

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part = part
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Apply the part to `x`, of any precision."""
        out: Tensor = self.part(x.float())
        return out.to(self.dtype)
