"""A network that draws sharp masks on crops: image, coarse map and a frozen encoder's maps of the crop in, logits out.

It plays the role of the image-driven high-resolution branch (CRAM and SAFU) of IMSS (github.com/ZealousTianYun/IMSS,
system figure): recurrent residual units as in R2U-Net (arXiv 1802.06955) read the frozen encoder's maps of several
scales, joined from coarse to fine. The finest scale holds squares of 2 x 2 pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["STRIDE", "CropConfig", "CropNetwork"]

STRIDE = 32
"""Sides of a crop are multiples of this."""
LEVELS = 5
LARGEST = 4096
"""Highest number of channels, and of recursions."""


@dataclass(frozen=True)
class CropConfig:
    """Sizes of a crop network, kept in `config.json` beside the weights.

    Attributes:
        widths: Channels at strides 2, 4, 8, 16 and 32.
        pyramid: Channels of the frozen encoder's maps at strides 4, 8, 16 and 32.
        recursions: How often the shared convolution of a recurrent residual unit is applied.
        condition: Channels of a phrase's embedding; 0 for a network without phrases.
    """

    widths: tuple[int, ...] = (32, 48, 80, 112, 128)
    pyramid: tuple[int, ...] = (40, 96, 192, 288)
    recursions: int = 2
    condition: int = 512

    def __post_init__(self) -> None:
        counts = {"condition": (self.condition, 0), "recursions": (self.recursions, 1)}
        counts |= {f"width {level}": (width, 1) for level, width in enumerate((*self.widths, *self.pyramid))}
        for name, (value, least) in counts.items():
            if type(value) is not int or not least <= value <= LARGEST:
                raise ValueError(f"{name} is {value!r}, not a whole number from {least} to {LARGEST}")
        if (len(self.widths), len(self.pyramid)) != (LEVELS, LEVELS - 1):
            raise ValueError(f"{len(self.widths)} widths and {len(self.pyramid)} of the pyramid, not 5 and 4")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {**asdict(self), "widths": list(self.widths), "pyramid": list(self.pyramid)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> CropConfig:
        """Make a config from the values of a JSON file."""
        return CropConfig(**{**values, **{k: tuple(values[k]) for k in ("widths", "pyramid")}})


class _ConvNorm(nn.Sequential):
    def __init__(self, inside: int, outside: int, *, stride: int = 1, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
        )


class _Recurrent(nn.Module):
    """A recurrent residual unit: h <- f(x + h) with one shared 3x3 convolution, a normalisation for each step."""

    def __init__(self, channels: int, recursions: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(recursions))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor | None = None
        for norm in self.norms:
            h = F.relu(norm(self.conv(x if h is None else x + h)))
        assert h is not None
        return x + h


class _Modulation(nn.Module):
    """Scale and shift by a phrase (FiLM); zero at first, so that a fresh network ignores phrases."""

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, 1)
        modulated: Tensor = x * (1 + scale) + shift
        return modulated


class CropNetwork(nn.Module):
    """Draws a mask on a crop.

    Args:
        config: Sizes.
    """

    def __init__(self, config: CropConfig) -> None:
        super().__init__()
        self.config = config
        widths, recursions = config.widths, config.recursions
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _ConvNorm(16, widths[0]), _Recurrent(widths[0], recursions))
        self.read = nn.ModuleList(
            _ConvNorm(channels + 1, width, kernel=1) for channels, width in zip(config.pyramid, widths[1:], strict=True)
        )
        self.lift = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(
            nn.Sequential(_ConvNorm(a, a, kernel=3 if level else 1), _Recurrent(a, recursions))
            for level, a in enumerate(widths)
        )
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)
        self.modulate = nn.ModuleList()
        if config.condition:
            self.modulate.extend(_Modulation(config.condition, channels) for channels in widths[2:])

    def forward(
        self, pixels: Tensor, coarse: Tensor, pyramid: Sequence[Tensor], condition: Tensor | None = None
    ) -> Tensor:
        """Return mask logits (B, H, W).

        Args:
            pixels: float (B, 3, H, W), normalised crops; H and W multiples of `STRIDE`.
            coarse: float (B, H, W), logits of a coarse map relative to its threshold, as `coarse_input` makes them.
            pyramid: The frozen encoder's maps of the pixels, float (B, C, H / s, W / s) at strides 4, 8, 16 and 32.
            condition: float (B, C), embeddings of the phrases, zero where none is known; None: none is.
        """
        plane = coarse.unsqueeze(1)
        levels = [self.stem(torch.cat([pixels, plane], 1))]
        for level, (read, features) in enumerate(zip(self.read, pyramid, strict=True)):
            x = read(torch.cat([features, F.adaptive_avg_pool2d(plane, (features.shape[-2], features.shape[-1]))], 1))
            if condition is not None and level and len(self.modulate):
                x = self.modulate[level - 1](x, condition)
            levels.append(x)
        x = self.join[-1](levels[-1])
        for level in reversed(range(len(self.lift))):
            x = F.interpolate(self.lift[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.join[level](levels[level] + x)
        logits: Tensor = F.pixel_shuffle(self.head(x), 2).squeeze(1)
        return logits
