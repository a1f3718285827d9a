"""Read a CLIP from a local folder as transformers saves it: both towers, and how images are prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from wordmask.backbones.clip.build import build_clip
from wordmask.backbones.clip.text import ClipTextEncoder
from wordmask.backbones.clip.tokenizer import load_tokenizer
from wordmask.backbones.clip.vision import VisionTower, clip_vision_tower
from wordmask.backbones.clip.weights import UNUSED
from wordmask.backbones.packed_linear import can_pack_linears, pack_linears
from wordmask.checkpoints import read_json
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.checkpoints.strict import load_exactly

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

__all__ = ["Clip", "load_clip"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Clip(NamedTuple):
    """Both towers of a CLIP.

    Attributes:
        vision: The vision tower.
        text: The text tower with its tokenizer.
        side: Side of the images that it was trained on, in pixels.
    """

    vision: VisionTower
    text: ClipTextEncoder
    side: int

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return the input (B, 3, h, w) of the vision tower for uint8 images (B, h, w, 3)."""
        weight = self.vision.class_token
        mean, std = (torch.tensor(values, device=weight.device) for values in (MEAN, STD))
        return ((pixels.to(weight.device).float() / 255 - mean) / std).permute(0, 3, 1, 2).to(weight.dtype)


def load_clip(folder: Path, *, device: torch.device, dtype: torch.dtype) -> Clip:
    """Load a CLIP.

    Raises:
        ModelNotFoundError: If weights are missing.
        CheckpointError: If files are missing or damaged.
    """
    values = read_json(folder / "config.json")
    vision, text = (values.get(f"{tower}_config") or {} for tower in ("vision", "text"))
    clip = build_clip(vision, text, projection_dim=values.get("projection_dim", 512))
    load_exactly(clip, read_weights(find_weights(folder)), source=f"{folder.name} (CLIP)", unused=UNUSED)
    depth = len(clip.vision_model.encoder.layers)  # type: ignore[union-attr, arg-type]
    towers = (
        clip_vision_tower(clip, extract_layers=(depth - 1,)).to(device, dtype).eval(),
        ClipTextEncoder(clip, load_tokenizer(folder)).to(device, dtype).eval(),
    )
    if dtype == torch.bfloat16 and can_pack_linears(device, dtype):
        for tower in towers:
            pack_linears(tower)
    return Clip(*towers, side=int(vision.get("image_size", 224)))
