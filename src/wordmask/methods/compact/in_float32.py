"""A module that computes in float32 inside a network of lower precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["InFloat32"]


class InFloat32(nn.Module):
    """Run a module in float32, whatever the precision of its input; autocast takes precedence.

    Args:
        part: The module, with float32 weights.
        dtype: Precision of the result.
    """

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part = part
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Apply the module to `x`, of any precision."""
        out: Tensor = self.part(x.float())
        return out.to(self.dtype)
