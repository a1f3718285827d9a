"""A recursive U-Net on crops: image and coarse map in, mask logits at the resolution of the crop out.

It plays the role of the image-driven high-resolution branch (CRAM and SAFU) of IMSS (github.com/ZealousTianYun/IMSS,
system figure): recurrent residual units as in R2U-Net (arXiv 1802.06955) over five scales, joined from coarse to fine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STRIDE", "CropConfig", "CropNetwork"]

STRIDE = 16
"""Sides of a crop are multiples of this."""
LEVELS = 5
LARGEST = 4096
"""Highest number of channels, and of recursions."""


@dataclass(frozen=True)
class CropConfig:
    """Sizes of a crop network, kept in `config.json` beside the weights.

    Attributes:
        widths: Channels at strides 1, 2, 4, 8 and 16.
        recursions: How often the shared convolution of a recurrent residual unit is applied.
        condition: Channels of a phrase's embedding; 0 for a network without phrases.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96, 160)
    recursions: int = 2
    condition: int = 512

    def __post_init__(self) -> None:
        counts = {"condition": (self.condition, 0), "recursions": (self.recursions, 1)}
        counts |= {f"width {level}": (width, 1) for level, width in enumerate(self.widths)}
        for name, (value, least) in counts.items():
            if type(value) is not int or not least <= value <= LARGEST:
                raise ValueError(f"{name} is {value!r}, not a whole number from {least} to {LARGEST}")
        if len(self.widths) != LEVELS:
            raise ValueError(f"widths are {len(self.widths)} numbers, not {LEVELS}")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {**asdict(self), "widths": list(self.widths)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> CropConfig:
        """Make a config from the values of a JSON file."""
        return CropConfig(**{**values, "widths": tuple(values["widths"])})


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
        self.stem = _ConvNorm(4, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_ConvNorm(a, b, stride=2), _Recurrent(b, recursions)) for a, b in pairwise(widths)
        )
        self.deep = _Recurrent(widths[-1], recursions)
        self.lift = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(
            _ConvNorm(a, a) if level < 2 else nn.Sequential(_ConvNorm(a, a, kernel=1), _Recurrent(a, recursions))
            for level, a in enumerate(widths[:-1])
        )
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)
        self.keep = nn.Parameter(torch.ones(()))
        self.modulate = nn.ModuleList()
        if config.condition:
            self.modulate.extend(_Modulation(config.condition, channels) for channels in widths[2:])

    def forward(self, pixels: Tensor, coarse: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return mask logits (B, H, W).

        Args:
            pixels: float (B, 3, H, W), normalised crops; H and W multiples of `STRIDE`.
            coarse: float (B, H, W), logits of a coarse map relative to its threshold, as `coarse_input` makes them.
            condition: float (B, C), embeddings of the phrases, zero where none is known; None: none is.
        """
        x = self.stem(torch.cat([pixels, coarse.unsqueeze(1)], 1))
        levels = [x]
        for index, down in enumerate(self.down):
            x = down(x)
            if condition is not None and index >= 1 and len(self.modulate):
                x = self.modulate[index - 1](x, condition)
            levels.append(x)
        x = self.deep(x)
        for level in reversed(range(len(self.lift))):
            x = F.interpolate(self.lift[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.join[level](levels[level] + x)
        logits: Tensor = self.head(x).squeeze(1)
        return logits + self.keep * coarse
