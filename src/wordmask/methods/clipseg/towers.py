"""Build the frozen towers of CLIPSeg and its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from wordmask.backbones.clip.build import build_clip, build_clip_text
from wordmask.backbones.clip.text import ClipTextEncoder
from wordmask.backbones.clip.tokenizer import load_tokenizer
from wordmask.backbones.clip.vision import clip_vision_tower
from wordmask.backbones.clip.weights import UNUSED, text_weights
from wordmask.backbones.vit import build_vit, vit_settings, vit_vision_tower
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.reading import under_prefix
from wordmask.checkpoints.strict import load_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.backbones.clip.vision import VisionTower
    from wordmask.methods.clipseg.checkpoint import Checkpoint

    Towers = tuple[VisionTower, ClipTextEncoder]

__all__ = ["build_towers"]


def build_towers(checkpoint: Checkpoint) -> Towers:
    """Return vision and text tower with their weights.

    Raises:
        CheckpointError: If weights or tokenizer are missing, damaged, or made for another network.
    """
    return _BUILDERS[checkpoint.config.encoder](checkpoint, load_tokenizer(checkpoint.folder))


def _clip(checkpoint: Checkpoint, tokenizer: Any) -> Towers:
    config = checkpoint.config
    clip = build_clip(config.vision, config.text, projection_dim=config.projection_dim)
    load_exactly(clip, checkpoint.clip, source=f"{checkpoint.folder.name} (CLIP)", unused=UNUSED)
    return clip_vision_tower(clip, extract_layers=config.extract_layers), ClipTextEncoder(clip, tokenizer)


def _vit(checkpoint: Checkpoint, tokenizer: Any) -> Towers:
    config, name = checkpoint.config, checkpoint.folder.name
    vit = build_vit(vit_settings(config.vision))
    load_exactly(vit, under_prefix(checkpoint.clip, "vision_model."), source=f"{name} (ViT)")
    with no_weights():
        projection = nn.Linear(config.width, config.projection_dim)
    load_exactly(projection, under_prefix(checkpoint.clip, "visual_projection."), source=f"{name} (projection)")
    text = build_clip_text(config.text, projection_dim=config.projection_dim)
    load_exactly(text, text_weights(checkpoint.clip), source=f"{name} (CLIP's text tower)", unused=UNUSED)
    return vit_vision_tower(vit, projection, extract_layers=config.extract_layers), ClipTextEncoder(text, tokenizer)


_BUILDERS: dict[str, Callable[[Checkpoint, Any], Towers]] = {"clip": _clip, "vit": _vit}
"""By the encoder that a config names."""
