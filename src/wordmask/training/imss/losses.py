"""Loss of the crop network: binary cross-entropy weighted near the border, and Dice, in equal parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bce_loss", "dice_loss"]

_SMOOTH = 8.0
"""Pixels added to both sides of Dice's fraction, so that crops without a target give a small gradient only."""


def bce_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of logits (B, h, w); each crop counts alike."""
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((each * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)).mean()


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return 1 - Dice of the probabilities of logits (B, h, w) where the weight is not zero; mean over crops."""
    known = (weight > 0).to(logits.dtype)
    probability = logits.sigmoid() * known
    wanted = target * known
    joint = (probability * wanted).sum((1, 2))
    total = probability.sum((1, 2)) + wanted.sum((1, 2))
    return (1 - (2 * joint + _SMOOTH) / (total + _SMOOTH)).mean()
