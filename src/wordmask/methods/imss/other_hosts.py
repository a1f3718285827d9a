"""SAM-HQ and SAM 2 as networks that turn boxes into masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.backbones.sam.hq import SamHqDecoder
from wordmask.backbones.sam.load import MEAN, STD
from wordmask.methods.imss.avamdr import Resolved
from wordmask.methods.imss.hosts import HostMasks, SamHost
from wordmask.ops.geometry import squash

if TYPE_CHECKING:
    from torch import Tensor

    from wordmask.backbones.sam2 import Sam2
    from wordmask.ops.geometry import Placement, Size

__all__ = ["Sam2Host", "SamHqHost"]


class SamHqHost(SamHost):
    """SAM-HQ: SAM with a high-quality token."""

    def encode_pixels(self, pixels: Tensor) -> Resolved:  # type: ignore[override] # other features than SAM's
        """Encode pixels float32 `(B, 3, S, S)`."""
        decoder = self.parts.decoder
        assert isinstance(decoder, SamHqDecoder)
        features = self.parts.vision(pixels)
        return Resolved(features.embedding, decoder.image_features(features.embedding, features.levels[0]))

    def decode_boxes(self, features: Resolved, boxes: Tensor) -> HostMasks:  # type: ignore[override]
        """Return one mask for each box."""
        decoder = self.parts.decoder
        masks = decoder(features.embedding, decoder.embed_boxes(boxes), extra=features.extra)
        return HostMasks(masks.logits[:, 0].float(), masks.quality[:, 0].float().clamp(0, 1))


class Sam2Host:
    """SAM 2, whose canvas the image fills whatever its proportions.

    Args:
        model: The networks.
        name: Name in messages.
    """

    mean, std = MEAN, STD

    def __init__(self, model: Sam2, *, name: str) -> None:
        self.model, self.name = model, name

    def canvas(self, size: Size) -> Placement:
        """Stretch the image over the canvas, as the published preprocessing does."""
        return squash(size, (self.model.size, self.model.size))

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Encode pixels float32 `(B, 3, S, S)`."""
        return self.model.encode(pixels)

    def decode_boxes(self, features: tuple[Tensor, ...], boxes: Tensor) -> HostMasks:
        """Return one mask for each box."""
        logits, quality = self.model.decode(features, boxes)
        return HostMasks(logits, quality.clamp(0, 1))
