"""Share of each feature cell that a mask covers, for pooling of features under masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from wordmask.ops.masks import subsample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask

__all__ = ["coverage", "pooled"]

SAMPLES = 4
"""Pixels of a mask that are read along each side of a cell, at least; larger images are subsampled to that."""


def coverage(masks: Sequence[PackedMask], cells: Size) -> Tensor:
    """Return the fraction of each cell that each mask covers, float32 (N, h, w), of a map that fills the image."""
    height, width = cells
    result = np.zeros((len(masks), height, width), np.float32)
    for place, mask in enumerate(masks):
        step = max(1, min(mask.size[0] // (SAMPLES * height), mask.size[1] // (SAMPLES * width)))
        small = subsample(mask, step) if step > 1 else mask
        result[place] = cv2.resize(small.full().astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(result)


def pooled(features: Tensor, weights: Tensor) -> Tensor:
    """Return means (N, C) of a map (C, h, w) under weights (N, h, w)."""
    flat = weights.flatten(1).to(features)
    means: Tensor = flat @ features.flatten(1).T / flat.sum(1, keepdim=True).clamp(min=1e-3)
    return means
