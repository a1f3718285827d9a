"""Weighted sums of mask losses, for any network that answers with dense logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from wordmask.losses.bce import balanced_bce, bce
from wordmask.losses.dice import dice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["MASK_LOSSES", "mask_losses", "presence_loss", "shrink_targets"]

MASK_LOSSES = {"bce": bce, "balanced_bce": balanced_bce, "dice": dice}
"""By the name under which recipes weight them."""


def mask_losses(logits: Tensor, masks: Tensor, known: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Return weighted losses by name, each a mean over the masks: scalars.

    Args:
        logits: float `(N, h, w)`.
        masks: float `(N, H, W)` in [0, 1].
        known: float `(N, H, W)`, weight of each pixel; 0 where nothing is known.
        weights: Weight of each of `MASK_LOSSES`; those of weight 0 are left out.
    """
    logits = logits.float()
    targets, known = shrink_targets(masks, known, (logits.shape[1], logits.shape[2]))
    return {
        name: weights[name] * loss(logits, targets, known).mean()
        for name, loss in MASK_LOSSES.items()
        if weights.get(name)
    }


def presence_loss(logits: Tensor, present: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean binary cross-entropy of presence, a scalar.

    Args:
        logits: float `(N,)`.
        present: float `(N,)`, 1 where the phrase is in the image, otherwise 0.
        weights: float `(N,)`; 0 where nobody knows.
    """
    each = F.binary_cross_entropy_with_logits(logits.float(), present, reduction="none")
    return (each * weights).mean()


def shrink_targets(masks: Tensor, known: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring the ground truth to the resolution of the logits. Unknown pixels never enter the targets.

    Args:
        masks: float `(N, H, W)` in [0, 1].
        known: float `(N, H, W)` in [0, 1].
        size: `(h, w)`.

    Returns:
        `(N, h, w)` each: how much of a cell's known area the mask covers, and how much of the cell is known.
    """
    if masks.shape[1:] == size:
        return masks, known
    part = F.interpolate(known[:, None], size=size, mode="area")[:, 0]  # (N, h, w)
    covered = F.interpolate((masks * known)[:, None], size=size, mode="area")[:, 0] / part.clamp(min=1e-6)
    return covered.clamp(max=1), part
