"""The compact network: image encoder, neck, phrase encoder, mask decoder and the head that reads an example's mask."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.compact.image_encoder import ImageEncoder
from wordmask.methods.compact.mask_decoder import ImageFeatures, MaskDecoder, Neck
from wordmask.methods.compact.text_encoder import TextEncoder


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of a compact network; `config.json` beside the weights holds them."""

    widths: tuple[int, ...] = (32, 80, 160, 288)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    attention: int = 2
    channels: int = 80
    fine: int = 32
    pixel: int = 64
    decoder: int = 48
    condition: int = 512
    tokens: int = 4096
    text_width: int = 192
    text_depth: int = 3

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> CompactConfig:
        lists = {k: tuple(values[k]) for k in ("widths", "depths")}
        return CompactConfig(**{**values, **lists})


class CompactNetwork(nn.Module):
    """Finished parts, joined; see `build_compact` for the sizes."""

    def __init__(
        self, encoder: ImageEncoder, neck: Neck, text: TextEncoder, decoder: MaskDecoder, example: nn.Module
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.text = text
        self.decoder = decoder
        self.example = example

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Float (B, 3, H, W) normalised pixels, H and W multiples of 32 -> features."""
        features: ImageFeatures = self.neck(self.encoder(pixels))
        return features

    def read_example(self, features: ImageFeatures, mask: Tensor) -> Tensor:
        """Vector of what an example's mask covers, in the space of the phrases.

        Args:
            features: maps of B example pictures.
            mask: float (B, h, w) in [0, 1] at stride 4.

        Returns:
            Unit vectors (B, condition).
        """
        weight = mask.unsqueeze(1)
        coarse = F.interpolate(weight, size=features.coarse.shape[-2:], mode="area")
        fine = (features.pixel * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1e-3)
        deep = (features.coarse * coarse).sum((2, 3)) / coarse.sum((2, 3)).clamp(min=1e-3)
        return F.normalize(self.example(torch.cat([fine, deep, weight.mean((2, 3))], 1)), dim=-1)


def build_compact(config: CompactConfig) -> CompactNetwork:
    """The network of a config, with random weights."""
    c = config
    return CompactNetwork(
        ImageEncoder(c.widths, c.depths, c.attention),
        Neck(c.widths, channels=c.channels, fine=c.fine, pixel=c.pixel),
        TextEncoder(c.tokens, width=c.text_width, depth=c.text_depth, channels=c.condition),
        MaskDecoder(c.condition, channels=c.channels, fine=c.fine, pixel=c.pixel, scene=c.widths[-1], width=c.decoder),
        nn.Sequential(nn.Linear(c.pixel + c.channels + 1, 256), nn.GELU(), nn.Linear(256, c.condition)),
    )
