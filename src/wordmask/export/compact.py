"""The parts of a compact network as modules with plain tensors in and out, as graphs are traced from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.components.affinity import affinity_matrix, refine
from wordmask.methods.compact.mask_decoder import ImageFeatures
from wordmask.methods.compact.settings import STRIDE

if TYPE_CHECKING:
    from wordmask.methods.compact.method import CompactModel

__all__ = ["Part", "parts_of"]

FINEST = 4
"""Stride of the finest maps."""


@dataclass(frozen=True)
class Part:
    """A graph to be.

    Attributes:
        module: What it computes.
        inputs: Example tensors by name.
        outputs: Names of the outputs.
        dynamic: For each input, the sizes that may vary.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Any]]


class ImagePart(nn.Module):
    """Normalised pixels (1, 3, H, W) to the maps of `ImageFeatures` and affinities (1, N, M)."""

    def __init__(self, model: CompactModel) -> None:
        super().__init__()
        self.network = model.network
        self.sharpness = model.settings.affinity_sharpness
        self.longer = model.settings.long_side // FINEST

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        maps = self.network.encode(pixels)
        if self.sharpness is None:
            return (*maps, maps.pixel.new_zeros((1, 1, 1)))
        return (*maps, affinity_matrix(maps.pixel, self.sharpness, longer=self.longer))


class TextPart(nn.Module):
    """Token ids and padding (P, L) to unit vectors (P, C)."""

    def __init__(self, model: CompactModel) -> None:
        super().__init__()
        self.text = model.network.text

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        vectors: Tensor = self.text(ids, padding)
        return vectors


class DecoderPart(nn.Module):
    """Maps and conditions (P, C) to calibrated mask logits (P, h, w) and presence probabilities (P,)."""

    def __init__(self, model: CompactModel) -> None:
        super().__init__()
        self.decoder = model.network.decoder
        self.settings = model.settings

    def forward(
        self, fine: Tensor, coarse: Tensor, pixel: Tensor, scene: Tensor, affinity: Tensor, conditions: Tensor
    ) -> tuple[Tensor, Tensor]:
        set_ = self.settings
        logits, presence = self.decoder(ImageFeatures(fine, coarse, pixel, scene), conditions.unsqueeze(0))
        if set_.affinity_sharpness is not None:
            logits = refine(logits, affinity, longer=set_.long_side // FINEST)
        masks = set_.mask_scale * logits[0] + set_.mask_shift
        return masks, (set_.presence_scale * presence[0] + set_.presence_shift).sigmoid()


class ExamplePart(nn.Module):
    """Maps of an example image and its mask (1, h, w) to a unit vector (1, C)."""

    def __init__(self, model: CompactModel) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, pixel: Tensor, coarse: Tensor, mask: Tensor) -> Tensor:
        empty = pixel.new_zeros(1)
        return self.network.read_example(ImageFeatures(empty, coarse, pixel, empty), mask)


def parts_of(model: CompactModel) -> dict[str, Part]:
    """Return the parts of a float32 network on the CPU, by the names of `methods.exported.model.GRAPHS`.

    The longer side of a canvas is fixed, as it is in the model; the shorter one varies in steps of 32 pixels.
    """
    dim = torch.export.Dim
    steps = model.settings.long_side // STRIDE
    height, width = dim("height", min=1, max=steps), dim("width", min=1, max=steps)
    phrases, tokens = dim("phrases", min=1, max=4096), dim("tokens", min=1, max=model.network.text.length)
    pixels = torch.zeros(1, 3, STRIDE * max(2, steps - 4), STRIDE * steps)
    image = ImagePart(model)
    with torch.no_grad():
        fine, coarse, pixel, scene, affinity = image(pixels)
    channels = model.network.text.channels
    finest, half = {2: 8 * height, 3: 8 * width}, {2: 4 * height, 3: 4 * width}
    cells = {1: dim.AUTO, 2: dim.AUTO} if model.settings.affinity_sharpness is not None else {}
    maps = {"fine": fine, "coarse": coarse, "pixel": pixel, "scene": scene, "affinity": affinity}
    moving: dict[str, dict[int, Any]] = {
        "fine": finest,
        "coarse": half,
        "pixel": finest,
        "scene": {},
        "affinity": cells,
    }
    ids, padding = torch.ones(3, 5, dtype=torch.int64), torch.zeros(3, 5, dtype=torch.bool)
    return {
        "image": Part(image, {"pixels": pixels}, tuple(maps), {"pixels": {2: STRIDE * height, 3: STRIDE * width}}),
        "text": Part(
            TextPart(model), {"ids": ids, "padding": padding}, ("vectors",),
            {"ids": {0: phrases, 1: tokens}, "padding": {0: phrases, 1: tokens}},
        ),
        "decoder": Part(
            DecoderPart(model), {**maps, "conditions": torch.zeros(3, channels)}, ("logits", "presence"),
            {**moving, "conditions": {0: phrases}},
        ),
        "example": Part(
            ExamplePart(model), {"pixel": pixel, "coarse": coarse, "mask": torch.ones(1, *pixel.shape[2:])},
            ("vectors",), {"pixel": finest, "coarse": half, "mask": {1: 8 * height, 2: 8 * width}},
        ),
    }  # fmt: skip
