"""Binary cross-entropy of masks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

LEAST_INSIDE = 4.0
"""Cells added to an object's area, so that an object of one cell does not outweigh a whole image."""


def bce(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Mean binary cross-entropy over the known pixels of each mask.

    Args:
        logits: float `(N, h, w)`.
        targets: float `(N, h, w)` in [0, 1].
        known: float `(N, h, w)`, weight of each pixel; 0 where nothing is known.

    Returns:
        float `(N,)`; 0 for a mask of which nothing is known.
    """
    every = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known
    return every.sum((1, 2)) / known.sum((1, 2)).clamp(min=1e-6)


def balanced_bce(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy averaged inside and outside of each thing apart, and both added.

    Args:
        logits: float `(N, h, w)`.
        targets: float `(N, h, w)` in [0, 1].
        known: float `(N, h, w)`, weight of each pixel.

    Returns:
        float `(N,)`.
    """
    every = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known
    inside, area = (every * targets).sum((1, 2)), (known * targets).sum((1, 2))
    outside, rest = (every * (1 - targets)).sum((1, 2)), (known * (1 - targets)).sum((1, 2))
    return inside / (area + LEAST_INSIDE) + outside / rest.clamp(min=LEAST_INSIDE)
