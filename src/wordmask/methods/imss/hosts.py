"""Networks that turn boxes into masks: what the region segmenter needs of them, and SAM as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from wordmask.backbones.sam.load import MEAN, STD
from wordmask.ops.geometry import Placement

if TYPE_CHECKING:
    from wordmask.backbones.sam import SamParts
    from wordmask.backbones.sam.vision import SamFeatures
    from wordmask.ops.geometry import Size

__all__ = ["BoxHost", "HostMasks", "SamHost", "sam_canvas"]


class HostMasks(NamedTuple):
    """Masks of N boxes.

    Attributes:
        logits: float32 `(N, h, w)` over the whole canvas.
        quality: float32 `(N,)` in [0, 1], predicted IoU.
    """

    logits: Tensor
    quality: Tensor


class BoxHost(Protocol):
    """A frozen vision model with a box-prompted mask decoder.

    Attributes:
        name: Name in messages; it must differ between models that cannot read each other's features.
        mean, std: RGB normalisation of pixels in [0, 1]; padding is 0 after it.
    """

    @property
    def name(self) -> str: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...

    def canvas(self, size: Size) -> Placement:
        """Return the position of an image of `size = (H, W)` on the network's canvas."""
        ...

    def encode_pixels(self, pixels: Tensor) -> Any:
        """Return the features of normalised float32 pixels `(B, 3, h, w)`: a tree of tensors with a leading B."""
        ...

    def decode_boxes(self, features: Any, boxes: Tensor) -> HostMasks:
        """Return masks for boxes float32 `(N, 4)`, XYXY in pixels of the canvas, against one image's features."""
        ...


class SamHost:
    """SAM, as published.

    Args:
        parts: Vision encoder and mask decoder.
        name: Name in messages.
    """

    mean, std = MEAN, STD

    def __init__(self, parts: SamParts, *, name: str) -> None:
        self.parts, self.name = parts, name

    def canvas(self, size: Size) -> Placement:
        """Scale the longer side to the encoder's, at the top left."""
        return sam_canvas(size, self.parts.vision.size)

    def encode_pixels(self, pixels: Tensor) -> SamFeatures:
        """Encode pixels float32 `(B, 3, S, S)`."""
        features: SamFeatures = self.parts.vision(pixels)
        return features

    def decode_boxes(self, features: SamFeatures, boxes: Tensor) -> HostMasks:
        """Return the single mask of each box."""
        decoder = self.parts.decoder
        masks = decoder(features.embedding, decoder.embed_boxes(boxes))
        return HostMasks(masks.logits[:, 0].float(), masks.quality[:, 0].float().clamp(0, 1))


def sam_canvas(size: Size, side: int) -> Placement:
    """Return the placement of SAM's published preprocessing: longer side scaled, top left, sides rounded half up.

    Args:
        size: `(H, W)` of the image.
        side: Side of the square canvas in pixels.
    """
    scale = side / max(size)
    height, width = (max(1, int(length * scale + 0.5)) for length in size)
    return Placement(size, (side, side), (0, 0, height, width))


def canvas_boxes(boxes: list[tuple[float, float, float, float]], placement: Placement) -> Tensor:
    """Return boxes float32 `(N, 4)` in pixels of the canvas from boxes in pixels of the image."""
    top, left, height, width = placement.content
    down, across = height / placement.size[0], width / placement.size[1]
    scale = torch.tensor([across, down, across, down], dtype=torch.float32)
    return torch.tensor(boxes, dtype=torch.float32).view(-1, 4) * scale + torch.tensor([left, top, left, top])
