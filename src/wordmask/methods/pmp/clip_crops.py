"""Crops of masked objects for CLIP: the background takes the mean colour (OVSeg, Liang et al., CVPR 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from wordmask.backbones.clip.pair import MEAN
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.backbones.clip.pair import Clip
    from wordmask.images import RgbImage
    from wordmask.ops.masks import PackedMask

__all__ = ["embed_crops", "masked_crop"]

CROPS_AT_ONCE = 8
"""Crops that CLIP sees together; more of them are no faster on a CPU."""
FILL = np.array([round(255 * value) for value in MEAN], dtype=np.uint8)
"""CLIP's mean colour, which is 0 after normalising."""


def masked_crop(
    image: RgbImage, mask: NDArray[np.bool_], *, size: int, corner: tuple[int, int] = (0, 0)
) -> NDArray[np.uint8]:
    """Return the box of a mask, uint8 `(size, size, 3)`, with the mean colour where the mask is not.

    Args:
        image: The image.
        mask: bool `(h, w)`, not empty: a window of the image.
        size: Side of the crop, to which the box is stretched.
        corner: (x, y) where the window begins.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[box]
    left, top = corner
    pixels = image.pixels[top : top + mask.shape[0], left : left + mask.shape[1]][box]
    return resize(np.where(inside[..., None], pixels, FILL), (size, size), resample="bicubic")


def embed_crops(clip: Clip, image: RgbImage, masks: Sequence[PackedMask]) -> Tensor:
    """Return CLIP's embeddings `(N, D)` of masked objects, not normalised; no mask may be empty."""
    device = clip.vision.class_token.device
    embedded = []
    for start in range(0, len(masks), CROPS_AT_ONCE):
        crops = [
            masked_crop(image, mask.crop(), size=clip.size, corner=mask.window[:2])
            for mask in masks[start : start + CROPS_AT_ONCE]
        ]
        pixels = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float() / 255
        embedded.append(clip.vision.pooled(clip.normalised(pixels)).float())
    return torch.cat(embedded)
