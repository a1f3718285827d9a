"""The compact network: image encoder, neck, phrase encoder, mask decoder and the head that reads an example's mask."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.errors import quote
from wordmask.methods.compact.image_encoder import HEAD, STAGES, ImageEncoder
from wordmask.methods.compact.mask_decoder import ImageFeatures, MaskDecoder, Neck
from wordmask.methods.compact.text_encoder import TEXT_HEADS, TextEncoder

LARGEST = 65536
"""No size of a network is larger."""
DEEPEST = 256
"""Nor does any part have more layers."""


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of a compact network; `config.json` beside the weights holds them.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is out of range, or sizes do not go together.
    """

    widths: tuple[int, ...] = (32, 80, 160, 288)
    depths: tuple[int, ...] = (1, 2, 4, 2)
    attention: int = 3
    channels: int = 80
    fine: int = 32
    pixel: int = 64
    decoder: int = 48
    condition: int = 512
    tokens: int = 4096
    text_width: int = 192
    text_depth: int = 3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check_size(name, value, STAGES if name in ("widths", "depths") else None)
        deepest = self.widths[-1]
        if deepest < HEAD or deepest % (deepest // HEAD):
            raise ValueError(
                f"the last of widths is {deepest}, not a multiple of its {deepest // HEAD} attention heads"
            )
        if self.text_width % TEXT_HEADS:
            raise ValueError(f"text_width is {self.text_width}, not a multiple of its {TEXT_HEADS} attention heads")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> CompactConfig:
        lists = {k: tuple(values[k]) for k in ("widths", "depths")}
        return CompactConfig(**{**values, **lists})


def _check_size(name: str, value: Any, count: int | None) -> None:
    """Check one size, or `count` of them."""
    sizes = (value,) if count is None else value
    if count is not None and len(sizes) != count:
        raise ValueError(f"{name} are {len(sizes)} numbers, not {count}")
    limit = DEEPEST if name in ("depths", "attention", "text_depth") else LARGEST
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {quote(value)}, not whole")
        if not 1 <= size <= limit:
            raise ValueError(f"{name} is {quote(value)}, not in 1 to {limit}")


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
