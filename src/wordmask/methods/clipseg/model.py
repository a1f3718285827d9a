"""The whole CLIPSeg network: frozen CLIP towers and the mask decoder (Lüddecke and Ecker, arXiv 2112.10003)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from wordmask.checkpoints import checksum
from wordmask.contracts import DenseOutput
from wordmask.methods.clipseg.decoder import MaskDecoder
from wordmask.methods.clipseg.deconv import DeconvDecoder
from wordmask.methods.clipseg.example import prompt_pixels
from wordmask.ops.geometry import Placement, Size, letterbox, squash
from wordmask.prompts import MixedPrompt, Prompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.backbones.clip.text import ClipTextEncoder
    from wordmask.backbones.clip.vision import VisionTower
    from wordmask.methods.clipseg.config import ClipSegConfig
    from wordmask.methods.clipseg.decoder import ReducedActivations

Fit = Literal["squash", "letterbox"]
Triple = tuple[float, float, float]
Decoder = MaskDecoder | DeconvDecoder
"""`reduce(activations, grid)` once for an image, `forward(reduced, conditions)` for its prompts."""


class ClipSeg(nn.Module):
    """CLIPSeg as a `DenseModel`: `encode_pixels` once for an image, `decode` for its prompts.

    It has no presence head: `wordmask.methods.dense` takes the peak of the smoothed heatmap instead, which is not
    calibrated and therefore never empties a mask (`presence_threshold` is 0).

    Args:
        vision: The vision tower.
        text: The text tower.
        decoder: The mask decoder.
        mean: RGB mean of the pixels in [0, 1] that the weights expect.
        std: RGB standard deviation likewise.
        size: (height, width) of the canvas in pixels; multiples of the patch size.
        fit: `"squash"` stretches the image to the canvas, as the weights were trained; `"letterbox"` keeps the aspect
            ratio and takes a canvas of that shape, its longer side that of `size`.
    """

    accepts = frozenset({TextPrompt, VisualPrompt, MixedPrompt})
    chunk = 10
    threshold = 0.3  # where the paper measures phrases (table 3)
    presence_threshold = 0.0

    def __init__(
        self,
        vision: VisionTower,
        text: ClipTextEncoder,
        decoder: Decoder,
        *,
        mean: Triple,
        std: Triple,
        size: Size = (352, 352),
        fit: Fit = "squash",
    ) -> None:
        super().__init__()
        self.vision = vision
        self.text = text
        self.decoder = decoder
        self.mean = mean
        self.std = std
        self.size = size
        self.fit = fit
        self.name = _name(decoder, vision)

    def canvas(self, size: Size) -> Placement:
        """Return where an image of `size` (H, W) lies on the canvas."""
        if self.fit == "squash":
            return squash(size, self.size)
        scale = max(self.size) / max(size)
        patch = self.vision.patch
        height, width = (max(patch, math.ceil(round(side * scale) / patch) * patch) for side in size)
        return letterbox(size, (min(height, max(self.size)), min(width, max(self.size))))

    def encode_pixels(self, pixels: Tensor) -> ReducedActivations:
        """Return the activations of normalised images (B, 3, H, W), projected to the decoder's channels."""
        activations = self.vision(pixels.to(self.vision.class_token))
        return self.decoder.reduce(activations, self.vision.grid(pixels))

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the conditions (P, C) of phrases."""
        return self.text.embed_texts(texts)

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Return the condition (C,) of a prompt; of a mixed one an interpolation of its parts' (see `MixedPrompt`)."""
        if isinstance(prompt, TextPrompt):
            return self.embed_texts([prompt.text])[0]
        if isinstance(prompt, VisualPrompt):
            return self.vision.pooled(self._example(prompt))[0]
        text, visual = self.embed_prompt(prompt.phrase), self.embed_prompt(prompt.visual)
        return mix_condition(text, visual, prompt.weight)

    def decode(self, features: ReducedActivations, conditions: Tensor) -> DenseOutput:
        """Return the logits (P, h, w) of one image for conditions (P, C)."""
        return DenseOutput(self.decoder(features, conditions))

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Not called: there is no presence head."""
        return logits.sigmoid()

    def _example(self, prompt: VisualPrompt) -> Tensor:
        """Normalised pixels (1, 3, h, w) of an example image, prepared according to its mode."""
        pixels = prompt_pixels(prompt, mean=self.mean, std=self.std, size=max(self.size))
        return torch.from_numpy(np.ascontiguousarray(pixels)).unsqueeze(0).to(self.vision.class_token)


def mix_condition(text: Tensor, visual: Tensor, weight: Tensor | float, valid: Tensor | bool = True) -> Tensor:
    """Interpolate conditions: `weight * text + (1 - weight) * visual`.

    Args:
        text: Conditions (..., C) of phrases.
        visual: Conditions (..., C) of example images.
        weight: Weight of the text, 0 to 1: a number, or one for each condition (...,).
        valid: bool (...,), False where there is no example: there the text's condition is returned.

    Returns:
        (..., C).
    """
    weight = torch.as_tensor(weight, dtype=text.dtype, device=text.device)
    weight = torch.where(torch.as_tensor(valid, device=text.device), weight, torch.ones_like(weight)).unsqueeze(-1)
    return weight * text + (1 - weight) * visual


_DECODERS: dict[str, type[Decoder]] = {"attention": MaskDecoder, "deconv": DeconvDecoder}
"""By the decoder that a config names."""


def build_decoder(config: ClipSegConfig) -> Decoder:
    """Return a decoder with random weights; without weights inside `no_weights`."""
    return _DECODERS[config.decoder](config)


def _name(decoder: Decoder, vision: VisionTower) -> str:
    """A name that depends on the weights, such as clipseg-rd64-refined-1a2b3c4d or vitseg-rd64-5e6f7081."""
    head = "-refined" if len(decoder.trans_conv.state_dict()) > 2 else ""
    own, towers = checksum(decoder.state_dict().values()), checksum(vision.state_dict().values(), each=1024)
    return f"{vision.kind}seg{decoder.kind}-rd{len(decoder.film_mul.weight)}{head}-{own ^ towers:08x}"
