"""SAFU, the semantic attention fusion unit: the scales of CRAM, from coarse to fine, as features of the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.imss.avamdr.fusion import IterativeFusion, RecurrentUnit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Safu"]


class Safu(nn.Module):
    """Fuse maps of several scales. The last convolution starts at zero: untrained, it adds nothing.

    Args:
        widths: Channels of the scales, the finest first.
        channels: Channels of the result.
    """

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(width, channels, 1) for width in widths])
        self.fusions = nn.ModuleList([IterativeFusion(channels) for _ in widths[1:]])
        self.units = nn.ModuleList([RecurrentUnit(channels, channels) for _ in widths[1:]])
        self.last = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, widths[s], h / 2^s, w / 2^s) -> (B, channels, h, w)."""
        result = self.laterals[-1](maps[-1])
        for scale in reversed(range(len(maps) - 1)):
            raised = F.interpolate(result, maps[scale].shape[2:], mode="bilinear", align_corners=False)
            result = self.units[scale](self.fusions[scale](self.laterals[scale](maps[scale]), raised))
        features: Tensor = self.last(result)
        return features
