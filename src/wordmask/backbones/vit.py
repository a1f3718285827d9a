"""A plain Vision Transformer (Dosovitskiy et al., arXiv 2010.11929), read from the files that transformers saves.

Of a classifier the head is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.backbones.clip.block import take_blocks
from wordmask.backbones.clip.vision import VisionTower
from wordmask.checkpoints.building import no_weights
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "VIT_DEFAULTS",
    "Vit",
    "build_vit",
    "random_projection",
    "vit_settings",
    "vit_vision_tower",
    "vit_weights",
]

VIT_DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "image_size": 224, "patch_size": 16, "qkv_bias": True,
}  # fmt: skip
"""Values that a config.json may leave out."""

_NAMES = (
    (r"^embeddings\.cls_token$", "class_token"),
    (r"^embeddings\.position_embeddings$", "positions"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patches."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.query\.", r"blocks.\1.self_attn.q_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.key\.", r"blocks.\1.self_attn.k_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.value\.", r"blocks.\1.self_attn.v_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.self_attn.out_proj."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.mlp.fc2."),
    (r"^encoder\.layer\.(\d+)\.layernorm_before\.", r"blocks.\1.layer_norm1."),
    (r"^encoder\.layer\.(\d+)\.layernorm_after\.", r"blocks.\1.layer_norm2."),
)
_UNUSED = re.compile(r"^(pooler|classifier|decoder)\.|^embeddings\.mask_token$")
"""Heads that are left out."""


class VitAttention(nn.Module):
    """The four projections of an attention layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))


class VitMlp(nn.Module):
    """The two projections of a feed-forward layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)


class VitBlock(nn.Module):
    """The weights of a pre-norm block, under the names that CLIP's have in transformers."""

    def __init__(self, width: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.self_attn, self.mlp = VitAttention(width), VitMlp(width, hidden)


class Vit(nn.Module):
    """The weights of a ViT up to its last norm; `vit_vision_tower` makes the network that runs.

    Args:
        settings: As `vit_settings` returns them.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, patch, eps = settings["hidden_size"], settings["patch_size"], settings["layer_norm_eps"]
        self.settings = settings
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, (settings["image_size"] // patch) ** 2 + 1, width))
        self.blocks = nn.ModuleList(
            VitBlock(width, settings["intermediate_size"], eps) for _ in range(settings["num_hidden_layers"])
        )
        self.norm = nn.LayerNorm(width, eps=eps)


def vit_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json's settings that shape the network.

    Raises:
        CheckpointError: If they do not describe a plain ViT, or give impossible sizes.
    """
    settings = {name: values.get(name, usual) for name, usual in VIT_DEFAULTS.items()}
    sizes = [settings[name] for name in VIT_DEFAULTS if isinstance(VIT_DEFAULTS[name], int)]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        got = f"ViT settings {quote({k: v for k, v in settings.items() if k != 'qkv_bias'})}"
        raise CheckpointError(sentence(got, "square images and biases", "choose a plain ViT"))
    if settings["hidden_size"] % settings["num_attention_heads"] or settings["image_size"] % settings["patch_size"]:
        got = f"ViT settings {quote({k: v for k, v in settings.items() if k != 'qkv_bias'})}"
        raise CheckpointError(sentence(got, "sizes that fit", "fetch or save the checkpoint again"))
    return settings


def build_vit(settings: Mapping[str, Any]) -> Vit:
    """Build a ViT without weights, on the meta device."""
    with no_weights():
        return Vit(settings).eval().requires_grad_(False)


def vit_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of transformers' ViT to those of `Vit`; unknown names are kept."""
    inside = {name.removeprefix("vit."): tensor for name, tensor in weights.items()}
    return {_renamed(name): tensor for name, tensor in inside.items() if not _UNUSED.search(name)}


def vit_vision_tower(vit: Vit, projection: nn.Linear, *, extract_layers: Sequence[int]) -> VisionTower:
    """Turn a ViT into a `VisionTower`; its embedding is the normalised class token through `projection`.

    Args:
        vit: A ViT with its weights, which are taken over; it has no blocks afterwards.
        projection: From the ViT's width to the channels of the embedding.
        extract_layers: Blocks (from 0) whose outputs are returned.

    Raises:
        CheckpointError: If the blocks' activation function is not supported.
    """
    settings = vit.settings
    return VisionTower(
        "vit",
        patches=vit.patches,
        class_token=nn.Parameter(vit.class_token.flatten()),
        positions=nn.Parameter(vit.positions[0]),
        norm_in=nn.Identity(),
        blocks=take_blocks(vit.blocks, settings["num_attention_heads"], settings["hidden_act"]),
        norm_out=vit.norm,
        projection=projection,
        extract_layers=extract_layers,
    )


def random_projection(width: int, channels: int, seed: int) -> dict[str, Tensor]:
    """Return weight `(channels, width)` and bias of a linear layer as torch initialises it, from a seed.

    A ViT trained on labels shares no embedding space with text: such a fixed map stands in for CLIP's projection, as in
    the baseline ViTSeg (arXiv 2112.10003, section 4).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(nn.Linear(width, channels).state_dict())


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        name, count = re.subn(theirs, ours, name)
        if count:
            return name
    return name
