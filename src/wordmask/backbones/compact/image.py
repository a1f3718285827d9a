"""Small residual image encoder with attention at its coarsest stage; feature maps at strides 4, 8, 16 and 32.

3x3 convolutions and batch norms (He et al., arXiv 1512.03385): trained from nothing on a few thousand images they need
less data and time than a vision transformer. Transformer blocks at stride 32 have a global receptive field.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HEAD_CHANNELS", "STRIDES", "CompactImageEncoder", "ConvNorm", "position_code"]

STRIDES = (4, 8, 16, 32)
"""Strides of the four stages."""
HEAD_CHANNELS = 32
"""Channels of the deepest map for each attention head, at least."""


class ThinConv2d(nn.Conv2d):
    """A convolution that is right for maps of one or two columns in bfloat16, too.

    oneDNN's kernel (torch 2.13, CPU with AMX) answers those with numbers from memory that nothing has written. Zeros to
    the right, whose outputs are cut off, stand for the padding and change nothing.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, h, w) -> (B, outputs, h / stride, w / stride)."""
        if maps.dtype != torch.bfloat16 or maps.shape[-1] > 2:
            return super().forward(maps)
        columns = (maps.shape[-1] - 1) // self.stride[1] + 1
        return super().forward(F.pad(maps, (0, 4)))[..., :columns]


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, by default, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            ThinConv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, stride=stride)
        self.second = ConvNorm(outputs, outputs, relu=False)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride=stride, relu=False)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # the block starts as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) -> (B, outputs, h / stride, w / stride)."""
        return F.relu(self.shortcut(x) + self.second(self.first(x)))


class GlobalBlock(nn.Module):
    """A pre-norm transformer block over all cells of a map."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        last = nn.Linear(2 * channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), last)
        for layer in (self.out, last):  # the block starts as its shortcut
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Cells (B, N, C) -> (B, N, C)."""
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        # written out: for the few dozen cells here the fused kernel was slower on a CPU
        attention = ((c // self.heads) ** -0.5 * q @ k.transpose(-2, -1)).softmax(-1)  # (B, heads, N, N)
        x = x + self.out((attention @ v).transpose(1, 2).reshape(b, n, c))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def position_code(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Return sinusoidal codes of the cells' positions, as fractions of the map, so that they fit every size.

    Returns:
        float (height * width, channels): a quarter each of sin y, cos y, sin x, cos x.
    """
    frequencies = 2.0 ** torch.arange(channels // 4, device=device, dtype=torch.float32).mul(
        6.0 / max(channels // 4, 1)
    )
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    rows = torch.cat([(y[:, None] * frequencies).sin(), (y[:, None] * frequencies).cos()], 1)  # (height, channels / 2)
    columns = torch.cat(
        [(x[:, None] * frequencies).sin(), (x[:, None] * frequencies).cos()], 1
    )  # (width, channels / 2)
    grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1)
    return grid.reshape(height * width, -1)


class CompactImageEncoder(nn.Module):
    """Residual network with feature maps at strides 4, 8, 16 and 32; fulfils `contracts.ImageEncoder`.

    Args:
        widths: Channels of the four stages.
        depths: Residual blocks of the four stages.
        attention: Transformer blocks after the last stage.
    """

    strides = STRIDES

    def __init__(
        self, widths: tuple[int, ...] = (32, 80, 160, 288), depths: tuple[int, ...] = (1, 2, 4, 2), attention: int = 3
    ) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Sequential(ConvNorm(3, 24, stride=2), ConvNorm(24, widths[0], stride=2))
        stages = []
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            before = widths[max(i - 1, 0)]
            first = ResidualBlock(before, width, stride=1 if i == 0 else 2)
            stages.append(nn.Sequential(first, *(ResidualBlock(width, width) for _ in range(depth - 1))))
        self.stages = nn.ModuleList(stages)
        self.attention = nn.ModuleList(GlobalBlock(widths[-1], widths[-1] // HEAD_CHANNELS) for _ in range(attention))
        self.place = nn.Linear(32, widths[-1])
        self.norm = nn.LayerNorm(widths[-1])
        self.channels = widths

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return four feature maps (B, channels[i], H / strides[i], W / strides[i]).

        Args:
            pixels: float (B, 3, H, W), normalised; H and W multiples of 32.
        """
        x = self.stem(pixels)  # (B, channels[0], H / 4, W / 4)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return (*maps[:-1], self._attend(x))

    def _attend(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        cells: Tensor = x.flatten(2).transpose(1, 2)  # (B, h * w, C)
        cells = cells + self.place(position_code(h, w, 32, x.device).to(x.dtype))
        for block in self.attention:
            cells = block(cells)
        cells = self.norm(cells)  # the blocks only add: without the norm their sum exceeds the range of fp16
        return cells.transpose(1, 2).reshape(b, c, h, w)
