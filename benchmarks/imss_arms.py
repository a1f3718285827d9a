"""The networks that `imss_experiment.py` compares: of pixels, a box and the side; some read the frozen trunk's maps."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from wordmask.backbones.crop.network import CropConfig, CropNetwork

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = (32, 48, 80, 112, 128)
TRUNK_STRIDES = 4


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
        kind: Of network: "unet", "zero-shot", "decoder", "hq" or "crop".
        zoom: Whether it sees a crop round the box; otherwise the whole image.
        box: Whether it is told the box.
        pixels: Whether the image-driven branch sees pixels (CRAM and SAFU).
        levels: How many of the trunk's maps are read, from the coarsest (EVIT and iAFF read all).
        seeds: How many seeds are run at most.
    """

    kind: str
    zoom: bool = True
    box: bool = True
    pixels: bool = True
    levels: int = TRUNK_STRIDES
    seeds: int = 3


ARMS = {
    "unet-image": Arm("unet", zoom=False, box=False, seeds=1),
    "unet-box": Arm("unet", zoom=False, seeds=1),
    "unet-box-zoom": Arm("unet"),
    "zero-shot": Arm("zero-shot", zoom=False, seeds=1),
    "zero-shot-zoom": Arm("zero-shot", seeds=1),
    "decoder": Arm("decoder", zoom=False, seeds=1),
    "decoder-zoom": Arm("decoder"),
    "hq": Arm("hq", zoom=False, seeds=1),
    "hq-zoom": Arm("hq"),
    "imss": Arm("crop", zoom=False, seeds=1),
    "imss-zoom": Arm("crop"),
    "imss-no-cram-zoom": Arm("crop", pixels=False),
    "imss-no-evit-zoom": Arm("crop", levels=1),
}


class UNet(nn.Module):
    """A U-Net on pixels, box and side; its finest scale holds squares of 2 x 2 pixels, as IMSS's does."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_twice(a, b) for a, b in pairwise((20, *WIDTHS)))
        self.up = nn.ModuleList(_twice(a + b, a) for a, b in pairwise(WIDTHS))
        self.head = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)

    def forward(self, pixels: Tensor, plane: Tensor, side: Tensor) -> Tensor:
        """Return logits (B, H, W) of pixels (B, 3, H, W), planes (B, H, W) and sides (B,)."""
        asked = (side.to(pixels) * 2 - 1)[:, None, None, None].expand(-1, 1, *pixels.shape[-2:])
        x = F.pixel_unshuffle(torch.cat([pixels, plane[:, None], asked], 1), 2)
        levels: list[Tensor] = []
        for number, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if number else x)
            levels.append(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.up[level](torch.cat([levels[level], x], 1))
        logits: Tensor = F.pixel_shuffle(self.head(x), 2).squeeze(1)
        return logits


def _twice(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers += [nn.Conv2d(channels, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers)


class TrunkDecoder(nn.Module):
    """The compact network's own neck and decoder on its frozen maps, and a box whose weight is learned."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.neck, self.decoder = copy.deepcopy(network.neck), copy.deepcopy(network.decoder)
        self.box = nn.Parameter(torch.ones(()))

    def forward(self, plane: Tensor, maps: tuple[Tensor, ...], words: Tensor) -> Tensor:
        """Return logits (B, H, W): those at stride 4, enlarged, and the box."""
        logits = self.decoder.masks(self.decoder.prepare(self.neck(maps)), words[:, None])[2]
        large = F.interpolate(logits, size=plane.shape[-2:], mode="bilinear", align_corners=False)
        return large[:, 0] + self.box * plane


def _frozen(network: Any) -> TrunkDecoder:
    decoder = TrunkDecoder(network).eval()
    for parameter in decoder.parameters():
        parameter.requires_grad = False
    return decoder


class HqHead(nn.Module):
    """A head beside the frozen decoder, as in HQ-SAM (arXiv 2306.01567): early, late and mask features, one query."""

    def __init__(self, network: Any, width: int = 64) -> None:
        super().__init__()
        self.frozen = (_frozen(network),)  # in a tuple, out of sight of torch
        channels = CropConfig().pyramid
        self.early = nn.Conv2d(channels[0], width, 1)
        self.late = nn.Conv2d(channels[-1], width, 1)
        self.mask = nn.Conv2d(network.neck.mix4[0].out_channels, width, 1)
        self.mix = nn.Sequential(_twice(width + 1, width), nn.Conv2d(width, 4 * 32, 1), nn.PixelShuffle(2))
        last = nn.Linear(128, 32)
        self.query = nn.Sequential(nn.Linear(512, 128), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, plane: Tensor, maps: tuple[Tensor, ...], words: Tensor) -> Tensor:
        """Return logits (B, H, W): the frozen decoder's and a correction at stride 2."""
        frozen = self.frozen[0]
        with torch.no_grad():
            features, base = frozen.neck(maps), frozen(plane, maps, words)
        late = F.interpolate(self.late(maps[-1]), size=features.fine.shape[-2:], mode="bilinear", align_corners=False)
        small = F.adaptive_avg_pool2d(plane[:, None], (late.shape[-2], late.shape[-1]))
        fused = self.mix(torch.cat([self.early(maps[0]) + late + self.mask(features.fine), small], 1))
        extra = (fused * self.query(words * words.shape[1] ** 0.5)[:, :, None, None]).sum(1, keepdim=True)
        large: Tensor = base + F.interpolate(extra, size=plane.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return large


class ArmNetwork(nn.Module):
    """An arm's network behind one interface.

    Args:
        arm: Which.
        trunk: The compact network, whose weights stay as they are.
        words: Embeddings (2, C) of the two sides.
    """

    def __init__(self, arm: Arm, trunk: Any, words: Tensor) -> None:
        super().__init__()
        self.arm, self.words = arm, words
        networks: dict[str, Any] = {
            "unet": UNet,
            "decoder": lambda: TrunkDecoder(trunk),
            "zero-shot": lambda: _frozen(trunk),
            "hq": lambda: HqHead(trunk),
            "crop": lambda: CropNetwork(CropConfig()),
        }
        self.network = networks[arm.kind]()

    def forward(self, pixels: Tensor, plane: Tensor, side: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, H, W); see `imss_eye_crops.Pool` for the inputs."""
        plane = plane if self.arm.box else torch.zeros_like(plane)
        if self.arm.kind == "unet":
            return self.network(pixels, plane, side)  # type: ignore[no-any-return]
        if self.arm.kind in ("decoder", "hq", "zero-shot"):
            return self.network(plane, maps, self.words[side])  # type: ignore[no-any-return]
        hidden = TRUNK_STRIDES - self.arm.levels
        read = tuple(torch.zeros_like(level) if number < hidden else level for number, level in enumerate(maps))
        shown = pixels if self.arm.pixels else torch.zeros_like(pixels)
        return self.network(shown, plane, read, self.words[side])  # type: ignore[no-any-return]

    @property
    def trained(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
