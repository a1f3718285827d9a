"""The recipe's sum of losses for one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from wordmask.losses import balanced_bce, bce, dice

if TYPE_CHECKING:
    from wordmask.train.recipes import Recipe
    from wordmask.train.students import Answer
    from wordmask.train.views import Batch

__all__ = ["objective", "shrunk"]

MASK_LOSSES = {"bce": bce, "balanced": balanced_bce, "dice": dice}


def objective(answer: Answer, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """Return the losses of the recipe, weighted, by name: means over the batch's phrases, scalars."""
    logits = answer.logits.float()
    targets, known = shrunk(batch.masks, batch.known, (logits.shape[1], logits.shape[2]))
    weights = {name: float(getattr(recipe, name)) for name in MASK_LOSSES}
    losses = {
        name: weights[name] * loss(logits, targets, known).mean() for name, loss in MASK_LOSSES.items() if weights[name]
    }
    if recipe.presence and answer.presence is not None:
        there = (batch.masks.flatten(1).amax(1) > 0).float()
        losses["presence"] = recipe.presence * F.binary_cross_entropy_with_logits(answer.presence.float(), there)
    return losses


def shrunk(masks: Tensor, known: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring truth to the network's resolution.

    Args:
        masks: float `(N, H, W)`, 0 or 1.
        known: float `(N, H, W)`, 0 or 1.
        size: `(h, w)`.

    Returns:
        `(N, h, w)` each: the share of a cell's known pixels that are set, and the share that is known.
    """
    if masks.shape[1:] == size:
        return masks, known
    part = F.interpolate(known[:, None], size=size, mode="area")[:, 0]
    share = F.interpolate((masks * known)[:, None], size=size, mode="area")[:, 0] / part.clamp(min=1e-6)
    return share.clamp(max=1), part
