"""The compact network: image encoder, neck, text encoder, mask decoder and the head for example images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.compact.image import HEAD_CHANNELS, STRIDES, CompactImageEncoder
from wordmask.backbones.compact.text import TEXT_HEADS, CompactTextEncoder
from wordmask.errors import quote
from wordmask.methods.compact.mask_decoder import ImageFeatures, MaskDecoder, Neck

__all__ = ["CompactConfig", "CompactNetwork", "build_compact"]

LARGEST = 65536
"""Highest number of channels or tokens."""
DEEPEST = 256
"""Highest number of layers of a part."""


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of a compact network, kept in `config.json` beside the weights.

    Attributes:
        widths: Channels of the image encoder's four stages.
        depths: Residual blocks of the four stages.
        attention: Transformer blocks after the last stage.
        channels: Channels of the neck at strides 8 and 16.
        fine: Channels of the neck at stride 4.
        pixel: Channels of a pixel embedding.
        decoder: Channels of the decoder's FiLM path.
        condition: Channels of a condition, the embedding of a phrase.
        tokens: Size of the vocabulary.
        text_width: Channels of the text encoder.
        text_depth: Transformer blocks of the text encoder.
        scene_product: Whether presence also reads the product of the scene vector and the condition.
        pooled_presence: Presence heads beside the decoder's own (`methods.compact.pooled_presence`); 0: none.

    Raises:
        TypeError: a size is not a whole number, or `scene_product` not a bool.
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
    scene_product: bool = False
    pooled_presence: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.scene_product, bool):
            raise TypeError(f"scene_product is {quote(self.scene_product)}, not true or false")
        for name, value in asdict(self).items():
            if name == "scene_product" or (name == "pooled_presence" and value == 0 and not isinstance(value, bool)):
                continue
            _check_size(name, value, len(STRIDES) if name in ("widths", "depths") else None)
        deepest = self.widths[-1]
        if deepest < HEAD_CHANNELS or deepest % (deepest // HEAD_CHANNELS):
            raise ValueError(
                f"the last of widths is {deepest}, not a multiple of its {deepest // HEAD_CHANNELS} attention heads"
            )
        if self.text_width % TEXT_HEADS:
            raise ValueError(f"text_width is {self.text_width}, not a multiple of its {TEXT_HEADS} attention heads")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> CompactConfig:
        """Make a config from the values of a JSON file."""
        lists = {k: tuple(values[k]) for k in ("widths", "depths")}
        return CompactConfig(**{**values, **lists})


def _check_size(name: str, value: Any, count: int | None) -> None:
    """Check one size, or `count` of them."""
    sizes = (value,) if count is None else value
    if count is not None and len(sizes) != count:
        raise ValueError(f"{name} are {len(sizes)} numbers, not {count}")
    limit = DEEPEST if name in ("depths", "attention", "text_depth", "pooled_presence") else LARGEST
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} is {quote(value)}, not whole")
        if not 1 <= size <= limit:
            raise ValueError(f"{name} is {quote(value)}, not in 1 to {limit}")


class CompactNetwork(nn.Module):
    """A compact network made of finished parts; `build_compact` makes one from a config."""

    def __init__(
        self,
        encoder: CompactImageEncoder,
        neck: Neck,
        text: CompactTextEncoder,
        decoder: MaskDecoder,
        example: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.text = text
        self.decoder = decoder
        self.example = example

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Return the features of normalised pixels, float (B, 3, H, W), H and W multiples of 32."""
        features: ImageFeatures = self.neck(self.encoder(pixels))
        return features

    def read_example(self, features: ImageFeatures, mask: Tensor) -> Tensor:
        """Embed masked regions of example images in the space of the phrases.

        Args:
            features: Of B example images.
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
    """Return the network of a config with random weights; without weights inside `no_weights`."""
    c = config
    return CompactNetwork(
        CompactImageEncoder(c.widths, c.depths, c.attention),
        Neck(c.widths, channels=c.channels, fine=c.fine, pixel=c.pixel),
        CompactTextEncoder(c.tokens, width=c.text_width, depth=c.text_depth, channels=c.condition),
        MaskDecoder(
            c.condition, channels=c.channels, fine=c.fine, pixel=c.pixel, scene=c.widths[-1], width=c.decoder,
            scene_product=c.scene_product, pooled_presence=c.pooled_presence,
        ),
        nn.Sequential(nn.Linear(c.pixel + c.channels + 1, 256), nn.GELU(), nn.Linear(256, c.condition)),
    )  # fmt: skip
