"""iAFF, iterative attentional feature fusion of two maps (arXiv 2009.14082, equations 1 to 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["IterativeFusion", "RecurrentUnit"]


class IterativeFusion(nn.Module):
    """Fuse two maps by gates that see each cell and the whole map, twice.

    The gates' norm is GroupNorm with one group, since batches are small; the pooled branch pools over the whole map.

    Args:
        channels: Channels of both maps.
        reduction: Bottleneck of the gates.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        inner = max(2, channels // reduction)
        self.first, self.second = _Gate(channels, inner), _Gate(channels, inner)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """Two maps (B, C, h, w) -> (B, C, h, w), between the two at every cell."""
        gate = self.first(image + other)
        once = gate * image + (1 - gate) * other
        gate = self.second(once)
        fused: Tensor = gate * image + (1 - gate) * other
        return fused


class RecurrentUnit(nn.Module):
    """Residual unit whose convolutions are each applied twice with shared weights (R2U-Net, arXiv 1802.06955).

    Args:
        given: Channels in.
        channels: Channels out.
        steps: Applications of each convolution.
    """

    def __init__(self, given: int, channels: int, *, steps: int = 2) -> None:
        super().__init__()
        self.lift = nn.Conv2d(given, channels, 1)
        self.convs = nn.ModuleList([_block(channels) for _ in range(2)])
        self.steps = steps

    def forward(self, cells: Tensor) -> Tensor:
        """(B, given, h, w) -> (B, channels, h, w)."""
        lifted: Tensor = self.lift(cells)
        result = lifted
        for conv in self.convs:
            entering = result
            result = conv(entering)
            for _ in range(self.steps - 1):
                result = conv(entering + result)
        return lifted + result


class _Gate(nn.Module):
    """MS-CAM: what each cell says and what the whole map says, as a gate."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.local, self.pooled = _bottleneck(channels, inner), _bottleneck(channels, inner)

    def forward(self, cells: Tensor) -> Tensor:
        gate: Tensor = torch.sigmoid(self.local(cells) + self.pooled(cells.mean(dim=(2, 3), keepdim=True)))
        return gate


def _bottleneck(channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1), nn.GroupNorm(1, inner), nn.ReLU(),
        nn.Conv2d(inner, channels, 1), nn.GroupNorm(1, channels),
    )  # fmt: skip


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(1, channels), nn.ReLU())
