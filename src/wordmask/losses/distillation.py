"""Distillation of one dense model's answers into another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["distillation_losses"]


def distillation_losses(
    logits: Tensor, teacher_logits: Tensor, presence: Tensor | None, teacher_presence: Tensor | None
) -> dict[str, Tensor]:
    """Return cross-entropies between a model's answers and a teacher's, by name: scalars.

    As in Learning without Forgetting (Li and Hoiem, arXiv 1606.09282), for sigmoid outputs. A mask counts as much as
    the teacher believes that its phrase is present: the mask logits of an absent phrase mean nothing. Where both agree,
    a loss is the teacher's entropy, not 0; its gradient is 0.

    Args:
        logits: float `(N, h, w)`, mask logits of the model that is trained.
        teacher_logits: float `(N, h, w)`, those of the teacher.
        presence: float `(N,)`, presence logits; None without a presence head.
        teacher_presence: float `(N,)`, those of the teacher.

    Returns:
        `distilled_masks`, and with a presence head `distilled_presence`.
    """
    targets = teacher_logits.detach().float().sigmoid()
    each = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").mean((1, 2))  # (N,)
    if presence is None or teacher_presence is None:
        return {"distilled_masks": each.mean()}
    believed = teacher_presence.detach().float().sigmoid()
    return {
        "distilled_masks": (each * believed).mean(),
        "distilled_presence": F.binary_cross_entropy_with_logits(presence.float(), believed),
    }
