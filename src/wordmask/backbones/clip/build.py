"""Build CLIP models with transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.checkpoints import brief
from wordmask.checkpoints.building import no_weights
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build_clip", "build_clip_text", "random_vision"]

TOWER_SETTINGS = (
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "image_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "pad_token_id",
    "patch_size",
    "vocab_size",
)
"""Settings of a tower that shape the network; older files hold dozens of others."""
LIMITS = {
    "hidden_size": 65536, "image_size": 8192, "intermediate_size": 2**20, "max_position_embeddings": 65536,
    "num_attention_heads": 1024, "num_hidden_layers": 256, "patch_size": 8192, "vocab_size": 2**22,
}  # fmt: skip
"""Largest sizes of a tower."""


def build_clip(vision: Mapping[str, Any], text: Mapping[str, Any], *, projection_dim: int) -> nn.Module:
    """Build a CLIP model without weights, on the meta device.

    Args:
        vision: Settings of the vision tower in transformers' names; missing ones take transformers' defaults.
        text: Settings of the text tower likewise.
        projection_dim: Channels of the embedding space that images and text share.

    Raises:
        CheckpointError: If the settings contradict each other.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CLIPConfig, CLIPModel

    for settings in (vision, text):
        _check_sizes(settings)
    try:
        config = CLIPConfig(
            vision_config=_relevant(vision) | {"projection_dim": projection_dim},
            text_config=_relevant(text) | {"projection_dim": projection_dim},
            projection_dim=projection_dim,
        )
        with no_weights():
            model: nn.Module = CLIPModel(config).eval()
    except (StrictDataclassError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        remedy = "use a checkpoint whose config.json transformers can read"
        got = f"impossible CLIP settings ({brief(error)})"
        raise CheckpointError(sentence(got, "sizes that fit", remedy)) from error
    return model.requires_grad_(False)


def build_clip_text(text: Mapping[str, Any], *, projection_dim: int) -> nn.Module:
    """Build CLIP's text tower alone, without weights, for `ClipTextEncoder`.

    Raises:
        CheckpointError: If the settings contradict each other.
    """
    whole: Any = build_clip({}, text, projection_dim=projection_dim)
    tower = nn.Module()
    tower.text_model, tower.text_projection = whole.text_model, whole.text_projection
    return tower.eval().requires_grad_(False)


def random_vision(vision: Mapping[str, Any], *, projection_dim: int, seed: int) -> dict[str, Tensor]:
    """Return random weights of a vision tower and its projection, in transformers' names.

    The distribution is transformers' own initialisation; the values depend on the seed alone.

    Args:
        vision: Settings of the tower in transformers' names.
        projection_dim: Channels of the shared space.
        seed: Random seed.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(**_relevant(vision), projection_dim=projection_dim)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = CLIPVisionModelWithProjection(config).state_dict()
    return {name: tensor for name, tensor in weights.items() if "position_ids" not in name}


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Check that a tower is not so large that building it would not end."""
    for key, limit in LIMITS.items():
        value = settings.get(key)
        if isinstance(value, int) and not 0 < value <= limit:
            got = f"a tower with {key} {quote(value)}"
            raise CheckpointError(sentence(got, f"1 to {limit}", "correct the checkpoint's config.json"))


def _relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in TOWER_SETTINGS if key in settings}
