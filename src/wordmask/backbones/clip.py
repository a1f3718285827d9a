"""Adapter to transformers' CLIP (Radford et al., arXiv 2103.00020): the one file that imports transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.checkpoints.building import no_weights
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import CLIPTokenizer

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
"""What of a tower's saved settings shapes the network; older files hold dozens of unrelated ones beside them."""


def build_clip(vision: Mapping[str, Any], text: Mapping[str, Any], *, projection_dim: int) -> nn.Module:
    """Build a CLIP model without weights (on the meta device: it costs neither time nor memory).

    Args:
        vision: Settings of the vision tower in transformers' names; missing ones take transformers' defaults.
        text: Settings of the text tower likewise.
        projection_dim: Channels of the shared space.

    Raises:
        CheckpointError: If the settings contradict each other.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CLIPConfig, CLIPModel

    try:
        config = CLIPConfig(
            vision_config=_relevant(vision) | {"projection_dim": projection_dim},
            text_config=_relevant(text) | {"projection_dim": projection_dim},
            projection_dim=projection_dim,
        )
        with no_weights():
            model: nn.Module = CLIPModel(config).eval()
    except (StrictDataclassError, ValueError, TypeError, ZeroDivisionError) as error:
        remedy = "use a checkpoint whose config.json transformers can read"
        got = f"impossible CLIP settings ({' '.join(str(error).split())})"
        raise CheckpointError(sentence(got, "sizes that fit", remedy)) from error
    return model.requires_grad_(False)


def build_clip_text(text: Mapping[str, Any], *, projection_dim: int) -> nn.Module:
    """Build CLIP's text tower alone, without weights: what `ClipTextEncoder` needs of a CLIP.

    Raises:
        CheckpointError: If the settings contradict each other.
    """
    whole: Any = build_clip({}, text, projection_dim=projection_dim)
    tower = nn.Module()
    tower.text_model, tower.text_projection = whole.text_model, whole.text_projection
    return tower.eval().requires_grad_(False)


def random_vision(vision: Mapping[str, Any], *, projection_dim: int, seed: int) -> dict[str, Tensor]:
    """Return weights of a vision tower and its projection that nobody trained, in transformers' names.

    They are drawn as transformers draws them for a training from scratch, from the seed alone.

    Args:
        vision: Settings of the tower in transformers' names.
        projection_dim: Channels of the shared space.
        seed: Of the drawing.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(**_relevant(vision), projection_dim=projection_dim)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = CLIPVisionModelWithProjection(config).state_dict()
    return {name: tensor for name, tensor in weights.items() if "position_ids" not in name}


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Read a CLIP tokenizer (tokenizer.json, or vocab.json and merges.txt) from a local folder.

    Raises:
        CheckpointError: If the folder holds none, or a damaged one.
    """
    from transformers import CLIPTokenizer

    present = [(folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "merges.txt")]
    if not (present[0] or all(present[1:])):
        expected = "tokenizer.json, or vocab.json and merges.txt, beside config.json"
        remedy = "copy the tokenizer files of the published checkpoint there"
        raise CheckpointError(sentence(f"no tokenizer in {quote(folder)}", expected, remedy))
    try:
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        remedy = "fetch or save the checkpoint again"
        got = f"an unreadable tokenizer in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "the files of a CLIP tokenizer", remedy)) from error
    return tokenizer


def _relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in TOWER_SETTINGS if key in settings}
