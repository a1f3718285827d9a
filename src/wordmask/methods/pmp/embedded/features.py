"""Features of an image for the query decoder: memories at three strides, and mask features at any points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.compact.image import position_code

if TYPE_CHECKING:
    from wordmask.methods.pmp.embedded.config import DecoderConfig

__all__ = ["GRIDS", "MaskFeatures", "MemoryBuilder", "ProposalFeatures", "TrunkMaps"]

GRIDS = (32, 16, 8, 4)
"""Strides at which mask features are computed."""
POSITIONS = 64
"""Channels of the sinusoidal code of a position."""


class TrunkMaps(NamedTuple):
    """Maps of B images that the frozen trunk computed.

    Attributes:
        fine: float `(B, fine, H / 4, W / 4)`.
        coarse: float `(B, coarse, H / 8, W / 8)`.
        deep: float `(B, deep, H / 16, W / 16)`.
        deepest: float `(B, deepest, H / 32, W / 32)`.
    """

    fine: Tensor
    coarse: Tensor
    deep: Tensor
    deepest: Tensor


class ProposalFeatures(NamedTuple):
    """What the query decoder reads of B images, whatever the prompts.

    Attributes:
        memories: float `(B, N, C)` at strides 32, 16 and 8.
        fine: The trunk's map at stride 4.
        mixed: float `(B, mixed, H / 8, W / 8)`, trained features.
        grids: Mask features `(B, D, h, w)` at strides 32, 16, 8 and 4; None: they are computed when they are needed.
        attended: For every layer keys `(B, heads, c, N)` and values `(B, heads, N, c)` of its memory; None: likewise.
        centres: The features of the `CentreHead`, if there is one.
    """

    memories: tuple[Tensor, Tensor, Tensor]
    fine: Tensor
    mixed: Tensor
    grids: tuple[Tensor, ...] | None = None
    attended: tuple[tuple[Tensor, Tensor], ...] | None = None
    centres: tuple[Tensor, ...] = ()


class MemoryBuilder(nn.Module):
    """Mix the trunk's coarser maps, and project them to the memories of the decoder."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        c, width = config, config.mixed
        self.lateral = nn.ModuleList(nn.Conv2d(n, width, 1) for n in (c.deepest, c.deep, c.coarse))
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(8, width)
        self.project = nn.ModuleList(nn.Linear(n, c.channels) for n in (c.deepest, c.deep, width))
        self.norms = nn.ModuleList(nn.LayerNorm(c.channels) for _ in range(3))
        self.place = nn.ModuleList(nn.Linear(POSITIONS, c.channels) for _ in range(3))

    def forward(self, maps: TrunkMaps) -> ProposalFeatures:
        """Return the features of B images."""
        deepest, deep, coarse = (
            lateral(m) for lateral, m in zip(self.lateral, (maps.deepest, maps.deep, maps.coarse), strict=True)
        )
        x = coarse + _upsampled(deep + _upsampled(deepest, deep), coarse)  # (B, mixed, h / 8, w / 8)
        x = F.relu(self.norm(x + self.second(F.relu(self.first(x)))))
        levels = (maps.deepest, maps.deep, x)
        memories = tuple(
            norm(project(level.flatten(2).transpose(1, 2))) + place(_code(level))
            for level, project, norm, place in zip(levels, self.project, self.norms, self.place, strict=True)
        )
        return ProposalFeatures((memories[0], memories[1], memories[2]), maps.fine, x)


class MaskFeatures(nn.Module):
    """Mask features at any points: linear in the maps, so that they commute with interpolation and pooling.

    A product of a mask embedding with them is a mask logit. Codes of the position tell instances of one kind apart.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.fine = nn.Linear(config.fine, config.embedding)
        self.mixed = nn.Linear(config.mixed, config.embedding, bias=False)
        self.place = nn.Linear(POSITIONS, config.embedding, bias=False)

    def at(self, features: ProposalFeatures, points: Tensor) -> Tensor:
        """Return float `(B, P, D)` at points.

        Args:
            features: Of B images.
            points: float `(B, P, 2)`, x and y in [0, 1] of the canvas.
        """
        grid = (2 * points - 1).unsqueeze(2).to(features.fine.dtype)  # (B, P, 1, 2)
        fine, mixed = (
            F.grid_sample(m, grid, padding_mode="border", align_corners=False)[..., 0].transpose(1, 2)
            for m in (features.fine, features.mixed)
        )
        result: Tensor = self.fine(fine) + self.mixed(mixed) + self.place(point_code(points).to(fine.dtype))
        return result

    def grid(self, features: ProposalFeatures, stride: int = 4) -> Tensor:
        """Return float `(B, D, H / stride, W / stride)`, stride 4, 8, 16 or 32."""
        if features.grids is not None:
            return features.grids[GRIDS.index(stride)]
        fine, mixed = features.fine, self._channels_first(self.mixed, features.mixed)
        if stride == 4:
            mixed = _upsampled(mixed, fine)
        else:
            fine = F.avg_pool2d(fine, stride // 4)
            mixed = F.avg_pool2d(mixed, stride // 8) if stride > 8 else mixed
        place = self.place(_code(fine)).T.view(1, -1, *fine.shape[-2:])
        result: Tensor = self._channels_first(self.fine, fine) + mixed + place
        return result

    @staticmethod
    def _channels_first(linear: nn.Linear, maps: Tensor) -> Tensor:
        return F.conv2d(maps, linear.weight[..., None, None], linear.bias)


def point_code(points: Tensor) -> Tensor:
    """Return sinusoidal codes float `(..., POSITIONS)` of points `(..., 2)`, x and y in [0, 1]."""
    frequencies = 2.0 ** torch.arange(POSITIONS // 4, device=points.device).mul(6.0 / (POSITIONS // 4))
    x, y = (points[..., i, None].float() * frequencies for i in (0, 1))
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()], -1)


def _code(level: Tensor) -> Tensor:
    """Codes `(h * w, POSITIONS)` of the cells of a map."""
    return position_code(level.shape[-2], level.shape[-1], POSITIONS, level.device).to(level.dtype)


def _upsampled(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
