"""The frozen towers of CLIPSeg and its variants: what sees pictures and what reads words.

In a `Checkpoint` the towers' weights have the names of transformers' CLIP, but for a ViT, whose own names follow
`vision_model.`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from wordmask.backbones.clip import build_clip, build_clip_text, load_tokenizer
from wordmask.backbones.clip_text import ClipTextEncoder
from wordmask.backbones.vit import build_vit, vit_settings
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.methods.clipseg import key_map
from wordmask.methods.clipseg.visual_tower import VisualTower
from wordmask.methods.clipseg.vit_tower import VitTower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wordmask.methods.clipseg.loader import Checkpoint

__all__ = ["build_towers", "inside", "text_weights"]

_TEXT = ("text_model.", "text_projection.")


def build_towers(checkpoint: Checkpoint) -> tuple[VisualTower, ClipTextEncoder]:
    """Return vision and text tower with their weights.

    Raises:
        CheckpointError: If weights or tokenizer are missing, damaged, or made for another network.
    """
    return _BUILDERS[checkpoint.config.encoder](checkpoint, load_tokenizer(checkpoint.folder))


def inside(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def text_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of a CLIP's weights that its text tower needs."""
    return {name: tensor for name, tensor in weights.items() if name.startswith(_TEXT)}


def _clip(checkpoint: Checkpoint, tokenizer: Any) -> tuple[VisualTower, ClipTextEncoder]:
    config = checkpoint.config
    clip = build_clip(config.vision, config.text, projection_dim=config.projection_dim)
    load_exactly(clip, checkpoint.clip, source=f"{checkpoint.folder.name} (CLIP)", unused=key_map.UNUSED)
    return VisualTower(clip, extract_layers=config.extract_layers), ClipTextEncoder(clip, tokenizer)


def _vit(checkpoint: Checkpoint, tokenizer: Any) -> tuple[VisualTower, ClipTextEncoder]:
    config, name = checkpoint.config, checkpoint.folder.name
    vit = build_vit(vit_settings(config.vision))
    load_exactly(vit, inside(checkpoint.clip, "vision_model."), source=f"{name} (ViT)")
    with no_weights():
        projection = nn.Linear(config.width, config.projection_dim)
    load_exactly(projection, inside(checkpoint.clip, "visual_projection."), source=f"{name} (projection)")
    text = build_clip_text(config.text, projection_dim=config.projection_dim)
    load_exactly(text, text_weights(checkpoint.clip), source=f"{name} (CLIP's text tower)", unused=key_map.UNUSED)
    return VitTower(vit, projection, extract_layers=config.extract_layers), ClipTextEncoder(text, tokenizer)


_BUILDERS: dict[str, Callable[[Checkpoint, Any], tuple[VisualTower, ClipTextEncoder]]] = {"clip": _clip, "vit": _vit}
"""By the encoder that a config names."""
