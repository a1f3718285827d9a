"""Picture -> feature maps at strides 4, 8, 16 and 32: a small residual network with attention at its coarsest stage.

3x3 convolutions and batch norms (He et al., arXiv 1512.03385): trained from nothing on a few thousand pictures they
need less data and time than a vision transformer. Transformer blocks at stride 32 see the whole picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = 4
"""Stages of the encoder, at strides 4, 8, 16 and 32."""
HEAD = 32
"""Channels of the deepest map for each attention head, at least."""


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless told otherwise, ReLU."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, *, stride: int = 1, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inside: int, outside: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inside, outside, stride=stride)
        self.second = ConvNorm(outside, outside, relu=False)
        same = inside == outside and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else ConvNorm(inside, outside, 1, stride=stride, relu=False)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # starts as the shortcut alone

    def forward(self, x: Tensor) -> Tensor:
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
        for layer in (self.out, last):  # starts as the shortcut alone
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        # written out: there are a few dozen cells, for which the fused kernel was slower on a CPU
        shares = ((c // self.heads) ** -0.5 * q @ k.transpose(-2, -1)).softmax(-1)
        x = x + self.out((shares @ v).transpose(1, 2).reshape(b, n, c))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


def place_code(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sine code of each cell's place, as a fraction of the map, so that it fits every size.

    Returns:
        float (height * width, channels): a quarter each of sin y, cos y, sin x, cos x.
    """
    rates = 2.0 ** torch.arange(channels // 4, device=device, dtype=torch.float32).mul(6.0 / max(channels // 4, 1))
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    rows = torch.cat([(y[:, None] * rates).sin(), (y[:, None] * rates).cos()], 1)  # (height, channels / 2)
    columns = torch.cat([(x[:, None] * rates).sin(), (x[:, None] * rates).cos()], 1)
    grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1)
    return grid.reshape(height * width, -1)


class ImageEncoder(nn.Module):
    """Residual network; gives maps at strides 4, 8, 16, 32.

    Args:
        widths: channels of the four stages.
        depths: residual blocks of the four stages.
        attention: transformer blocks after the last stage.
    """

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
        self.attention = nn.ModuleList(GlobalBlock(widths[-1], widths[-1] // HEAD) for _ in range(attention))
        self.place = nn.Linear(32, widths[-1])
        self.norm = nn.LayerNorm(widths[-1])
        self.widths = widths

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            pixels: float (B, 3, H, W), normalised; H and W multiples of 32.

        Returns:
            Four maps (B, widths[i], H / 2**(i + 2), W / 2**(i + 2)).
        """
        x = self.stem(pixels)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps[-1] = self._attend(x)
        return maps

    def _attend(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        cells: Tensor = x.flatten(2).transpose(1, 2)  # (B, h * w, C)
        cells = cells + self.place(place_code(h, w, 32, x.device).to(x.dtype))
        for block in self.attention:
            cells = block(cells)
        cells = self.norm(cells)  # the blocks only ever add: without it their sum outgrows fp16
        return cells.transpose(1, 2).reshape(b, c, h, w)
