"""CLIPSeg, whole: frozen CLIP towers and the mask decoder (Lüddecke and Ecker, arXiv 2112.10003)."""

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

    from wordmask.backbones.clip_text import ClipTextEncoder
    from wordmask.methods.clipseg.config import ClipSegConfig
    from wordmask.methods.clipseg.decoder import Readouts
    from wordmask.methods.clipseg.visual_tower import VisualTower

Fit = Literal["squash", "letterbox"]
Triple = tuple[float, float, float]
Decoder = MaskDecoder | DeconvDecoder
"""`reduce(readouts, grid)` once for a picture, `forward(reduced, conditions)` for its prompts."""


class ClipSeg(nn.Module):
    """A `DenseModel`: `encode_pixels` once for a picture, `decode` for its prompts.

    Without a presence head: `wordmask.methods.dense` takes the peak of the smoothed heatmap instead, and an
    uncalibrated presence never empties a mask (`presence_threshold` is 0).

    Args:
        vision: The vision tower.
        text: The text tower.
        decoder: The mask decoder, of any kind.
        mean: RGB mean of the pixels in [0, 1] that the weights expect.
        std: RGB standard deviation likewise.
        size: (height, width) of the canvas in pixels; multiples of the patch size.
        fit: `"squash"` fills the canvas and lets the aspect ratio go, as the weights were trained; `"letterbox"`
            keeps it and takes a canvas of that shape, its longer side that of `size`.
    """

    accepts = frozenset({TextPrompt, VisualPrompt, MixedPrompt})
    chunk = 10
    threshold = 0.3  # where the paper measures phrases (table 3)
    presence_threshold = 0.0

    def __init__(
        self,
        vision: VisualTower,
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
        """Where a picture of `size` (H, W) goes on the canvas."""
        if self.fit == "squash":
            return squash(size, self.size)
        scale = max(self.size) / max(size)
        patch = self.vision.patch
        height, width = (max(patch, math.ceil(round(side * scale) / patch) * patch) for side in size)
        return letterbox(size, (min(height, max(self.size)), min(width, max(self.size))))

    def encode_pixels(self, pixels: Tensor) -> Readouts:
        """Read-outs of normalised pictures (B, 3, H, W), projected to the decoder's channels."""
        readouts = self.vision(pixels.to(self.vision.class_token))
        return self.decoder.reduce(readouts, self.vision.grid(pixels))

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Conditions (P, C) of phrases."""
        conditions: Tensor = self.text(texts)
        return conditions

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Condition (C,) of a prompt of any kind; that of a mixed one lies between its parts' (see `MixedPrompt`)."""
        if isinstance(prompt, TextPrompt):
            return self.embed_texts([prompt.text])[0]
        if isinstance(prompt, VisualPrompt):
            return self.vision.pooled(self._example(prompt))[0]
        text, visual = self.embed_prompt(prompt.phrase), self.embed_prompt(prompt.visual)
        return mix_condition(text, visual, prompt.weight)

    def decode(self, features: Readouts, conditions: Tensor) -> DenseOutput:
        """Logits (P, h, w) of one picture for conditions (P, C)."""
        return DenseOutput(self.decoder(features, conditions))

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Not used: there is no presence head."""
        return logits.sigmoid()

    def _example(self, prompt: VisualPrompt) -> Tensor:
        """Normalised pixels (1, 3, h, w) of an example, prepared as its mode says."""
        pixels = prompt_pixels(prompt, mean=self.mean, std=self.std, size=max(self.size))
        return torch.from_numpy(np.ascontiguousarray(pixels)).unsqueeze(0).to(self.vision.class_token)


def mix_condition(text: Tensor, visual: Tensor, weight: Tensor | float, valid: Tensor | bool = True) -> Tensor:
    """Interpolate conditions (..., C): `weight * text + (1 - weight) * visual`.

    Args:
        text: Conditions of the phrases.
        visual: Conditions of the examples.
        weight: Share of the text, 0 to 1: a number, or one for each condition (...,).
        valid: Where there is no valid example the text alone counts.
    """
    share = torch.as_tensor(weight, dtype=text.dtype, device=text.device)
    share = torch.where(torch.as_tensor(valid, device=text.device), share, torch.ones_like(share)).unsqueeze(-1)
    return share * text + (1 - share) * visual


def draw_text_weight(count: int, *, highest: float = 0.5, generator: torch.Generator | None = None) -> Tensor:
    """Draw the text's shares (count,) for training, uniform in [0, highest].

    The published weights were trained with 0.5, the paper describes 1 (arXiv 2112.10003, section 3.3).
    """
    return highest * torch.rand(count, generator=generator)


_DECODERS: dict[str, type[Decoder]] = {"attention": MaskDecoder, "deconv": DeconvDecoder}
"""By the name in a config."""


def build_decoder(config: ClipSegConfig) -> Decoder:
    """A decoder with random weights, or without any on the meta device."""
    return _DECODERS[config.decoder](config)


def _name(decoder: Decoder, vision: VisualTower) -> str:
    """A name that tells two sets of weights apart, such as clipseg-rd64-refined-1a2b3c4d or vitseg-rd64-5e6f7081."""
    head = "-refined" if len(decoder.trans_conv.state_dict()) > 2 else ""
    own, towers = checksum(decoder.state_dict().values()), checksum(vision.state_dict().values(), each=1024)
    return f"{vision.kind}{decoder.kind}-rd{len(decoder.film_mul.weight)}{head}-{own ^ towers:08x}"
