"""CLIP embeddings of masked regions of a whole image, without cropping.

Two ways: patch tokens outside the mask are damped in the last blocks (Global-Local CLIP, Yu et al., arXiv 2303.17811),
which takes one pass per mask; or a class token per mask attends to the mask's patches alone, all in one pass (Ding et
al., MaskCLIP, arXiv 2208.08984).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from wordmask.backbones.clip.vision import VisionTower

__all__ = ["damped_embeddings", "masked_embeddings"]


def damped_embeddings(tower: VisionTower, pixels: Tensor, masks: Tensor, *, first: int = 9) -> Tensor:
    """Return embeddings (N, C), not normalised, of an image whose patch tokens are multiplied by masks.

    Args:
        tower: CLIP's vision tower.
        pixels: One image (1, 3, H, W), normalised.
        masks: float (N, h, w) in [0, 1], one value per patch.
        first: Block (from 0) from which on tokens are multiplied, at its input; the class token is not.
    """
    tokens = tower.embed(pixels)
    for block in tower.blocks[:first]:
        tokens = block(tokens)
    factors = torch.cat([torch.ones(len(masks), 1).to(masks), masks.flatten(1)], dim=1)[..., None].to(tokens)
    tokens = tokens.expand(len(masks), -1, -1)
    for block in tower.blocks[first:]:
        tokens = block(tokens * factors)
    out: Tensor = tower.projection(tower.norm_out(tokens[:, 0]))
    return out


def masked_embeddings(tower: VisionTower, pixels: Tensor, masks: Tensor) -> Tensor:
    """Return embeddings (N, C), not normalised, of N masked regions in one pass.

    A class token for each mask attends to itself and to the patches of its mask; nothing attends to it, so the rest is
    computed as without it. A mask of all patches gives the embedding of the image.

    Args:
        tower: CLIP's vision tower.
        pixels: One image (1, 3, H, W), normalised, of any size in patches.
        masks: float (N, h, w), the fraction of each patch that each mask covers; patches of at least a half are its
            own, or the one of the highest fraction.
    """
    tokens = tower.embed(pixels)  # (1, 1 + L, C)
    count, length = len(masks), tokens.shape[1]
    covered = masks.flatten(1)
    own = covered >= torch.minimum(covered.amax(1, keepdim=True), torch.tensor(0.5).to(covered))
    visible = torch.zeros(length + count, length + count, dtype=torch.bool, device=tokens.device)
    visible[:length, :length] = True
    visible[length:, 1:length] = own.to(tokens.device)
    visible[range(length, length + count), range(length, length + count)] = True
    attention = partial(F.scaled_dot_product_attention, attn_mask=visible)
    tokens = torch.cat([tokens, tokens[:, :1].expand(-1, count, -1)], dim=1)
    for block in tower.blocks:
        tokens = block(tokens, attention)
    out: Tensor = tower.projection(tower.norm_out(tokens[0, length:]))
    return out
