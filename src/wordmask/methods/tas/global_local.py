"""Region features of Global-Local CLIP (Yu et al., arXiv 2303.17811), the baseline that TAS is compared with.

A region is seen twice: in the whole image, whose patch tokens are multiplied by the mask in the last blocks, and as a
crop before the mean colour. Both embeddings are mixed before they are normalised, as are those of the sentence and of
its noun phrase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.backbones.clip.masked import damped_embeddings
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.backbones.clip.pretrained import Clip
    from wordmask.backbones.clip.vision import VisionTower
    from wordmask.ops.masks import PackedMask

__all__ = ["GLOBAL_WEIGHT", "global_feature", "global_local_features", "mixed"]

GLOBAL_WEIGHT = {"refcoco": 0.95, "refcoco+": 0.95, "refcocog": 0.85}
"""Weight of the global embedding by data set, as in the authors' code."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FIRST_DAMPED = 9
"""Block (from 0) from which on tokens are multiplied by the mask: the last three of a ViT-B."""


def global_local_features(clip: Clip, image: NDArray[np.uint8], masks: Sequence[PackedMask], weight: float) -> Tensor:
    """Return unit vectors (N, C) of masked regions.

    Args:
        clip: Both towers.
        image: uint8 (H, W, 3).
        masks: N masks, not empty.
        weight: Of the global embedding; 0: crops alone.
    """
    crops = torch.stack([_crop(image, mask, clip.side) for mask in masks]).to(clip.vision.class_token)
    return mixed(global_feature(clip, image, masks), clip.vision.pooled(crops), weight)


def global_feature(clip: Clip, image: NDArray[np.uint8], masks: Sequence[PackedMask]) -> Tensor:
    """Return the embeddings (N, C), not normalised, of the whole image with its patch tokens multiplied by masks."""
    pixels = _normalised(resize(image, (clip.side, clip.side), resample="bicubic"))[None]
    cells = clip.side // clip.vision.patch
    full = torch.from_numpy(np.stack([mask.full() for mask in masks])).float()[:, None]
    soft = F.interpolate(full, size=(cells, cells), mode="bilinear", align_corners=False)[:, 0]
    return damped_embeddings(clip.vision, pixels.to(clip.vision.class_token), soft, first=first_damped(clip.vision))


def first_damped(tower: VisionTower) -> int:
    """Return the block from which on tokens are multiplied: the last three at most."""
    return min(FIRST_DAMPED, max(0, len(tower.blocks) - 3))


def mixed(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Return unit vectors of `weight` times the first embeddings (N, C) and the rest of the second."""
    return F.normalize(weight * first.float() + (1 - weight) * second.float(), dim=-1)


def _crop(image: NDArray[np.uint8], mask: PackedMask, side: int) -> Tensor:
    """The object before the mean colour, its box squashed to a square: (3, side, side), normalised."""
    x0, y0, x1, y1 = mask.window
    pixels = _normalised(image[y0:y1, x0:x1]) * torch.from_numpy(mask.crop().astype(np.float32))
    size = (side, side)
    return F.interpolate(pixels[None], size=size, mode="bicubic", align_corners=False, antialias=True)[0]


def _normalised(pixels: NDArray[np.uint8]) -> Tensor:
    values = (torch.from_numpy(pixels.astype(np.float32)) / 255 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(
        IMAGENET_STD
    )
    return values.permute(2, 0, 1)
