"""ViTSeg's vision tower: a ViT that was trained on the labels of ImageNet (arXiv 2112.10003, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wordmask.backbones.clip_block import take_blocks
from wordmask.methods.clipseg.visual_tower import TABLES_KEPT, PositionTables, VisualTower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.backbones.vit import Vit


class VitTower(VisualTower):
    """Read-outs as `VisualTower`'s; `pooled` is the normalised class token through a fixed random linear map.

    A ViT shares no space with the words, so that map stands in for CLIP's projection, as in the published baseline.

    Args:
        vit: A ViT with its weights, which is left empty of blocks.
        projection: From the ViT's width to the condition's channels.
        extract_layers: Blocks (from 0) whose outputs the read-outs are.
    """

    kind = "vitseg"

    def __init__(self, vit: Vit, projection: nn.Linear, *, extract_layers: Sequence[int]) -> None:
        nn.Module.__init__(self)
        settings = vit.settings
        self.extract_layers = tuple(extract_layers)
        self.patch = int(settings["patch_size"])
        self.patches = vit.patches
        self.class_token = nn.Parameter(vit.class_token.flatten())
        self.positions = nn.Parameter(vit.positions[0])
        self.norm_in, self.norm_out = nn.Identity(), vit.norm
        self.blocks = take_blocks(vit.blocks, settings["num_attention_heads"], settings["hidden_act"])
        self.projection = projection
        self._tables = PositionTables(TABLES_KEPT)
        self.requires_grad_(False)


def draw_projection(width: int, channels: int, seed: int) -> dict[str, Tensor]:
    """Return weight `(channels, width)` and bias of the fixed map: torch's own for a linear layer, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(nn.Linear(width, channels).state_dict())
