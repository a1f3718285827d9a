"""Both towers of a published CLIP, with the preparation of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.backbones.clip.build import build_clip
from wordmask.backbones.clip.text import ClipTextEncoder
from wordmask.backbones.clip.tokenizer import load_tokenizer
from wordmask.backbones.clip.vision import VisionTower, clip_vision_tower
from wordmask.backbones.clip.weights import UNUSED, clip_weights
from wordmask.checkpoints import read_json
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MEAN", "STD", "Clip", "read_clip"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""RGB statistics of pixels in [0, 1] that every published CLIP was trained with."""
LONGEST_SCALE = 100.0
"""CLIP's training keeps the scale of its cosines at or below this."""


class Parts(NamedTuple):
    """What a `Clip` is made of."""

    vision: VisionTower
    text: ClipTextEncoder
    scale: float
    size: int


class Clip(nn.Module):
    """A CLIP in use.

    Attributes:
        vision: The vision tower.
        text: The text tower with its tokenizer.
        scale: Factor of cosines in a softmax.
        size: Side of the square images that it was trained with, in pixels.
        mean, std: RGB statistics of pixels in [0, 1].
    """

    mean, std = MEAN, STD

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.vision, self.text, self.scale, self.size = parts

    @property
    def channels(self) -> int:
        """Width of the embeddings."""
        return self.text.channels

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return RGB pixels `(B, 3, H, W)` in [0, 1] as the vision tower takes them."""
        mean, std = (torch.tensor(value, device=pixels.device).view(1, 3, 1, 1) for value in (self.mean, self.std))
        return ((pixels - mean) / std).to(self.vision.class_token.dtype)


def read_clip(folder: Path) -> Clip:
    """Read a CLIP from a folder as transformers writes it, with its tokenizer; float32, on the CPU, frozen.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or do not belong together.
    """
    values = read_json(folder / "config.json")
    if values.get("model_type") not in ("clip", "clipseg"):
        got = f"a folder {quote(folder)} of the model_type {quote(values.get('model_type'))}"
        raise CheckpointError(sentence(got, "a CLIP", "name a CLIP such as openai/clip-vit-base-patch16"))
    vision, text = _tower(values, "vision"), _tower(values, "text")
    clip: Any = build_clip(vision, text, projection_dim=int(values.get("projection_dim", 512)))
    load_exactly(clip, clip_weights(read_weights(find_weights(folder))), source=f"{folder.name} (CLIP)", unused=UNUSED)
    scale = min(float(clip.logit_scale.detach().exp()), LONGEST_SCALE)
    size = int(clip.vision_model.config.image_size)
    towers = (clip_vision_tower(clip, extract_layers=()), ClipTextEncoder(clip, load_tokenizer(folder)))
    return Clip(Parts(*towers, scale, size)).eval().requires_grad_(False)


def _tower(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Settings of a tower; older files carry a second dictionary that overrides the first."""
    return {**(values.get(f"{name}_config") or {}), **(values.get(f"{name}_config_dict") or {})}
