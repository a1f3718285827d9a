"""The losses of query-based hosts, by transformers' own matchers and losses.

Every supervised output is matched to the ground truth by the Hungarian algorithm and compared with it: classes by
cross-entropy, masks by binary (Mask2Former, EoMT) or focal (MaskFormer) cross-entropy and the Dice loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from wordmask.settings import Choices, Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CriterionSettings", "matched_losses"]


@dataclass(frozen=True, kw_only=True)
class CriterionSettings(Settings):
    """Weights of the losses; those of the matching costs are the same.

    Attributes:
        criterion: "points": masks are compared at points, most of them where a mask is uncertain (Mask2Former, EoMT);
            "focal": at every pixel, by the focal loss (MaskFormer, OVSeg).
        class_weight: Weight of the cross-entropy of classes.
        mask_weight: Weight of the cross-entropy of masks.
        dice_weight: Weight of the Dice loss.
        no_object: Weight of queries without ground truth in the cross-entropy of classes.
        points: Points of a mask.
        oversample: Candidates for points, as a multiple of their number.
        importance: Part of the points that are the most uncertain candidates.
    """

    criterion: str = "points"
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object: float = 0.1
    points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("class_weight", "mask_weight", "dice_weight"), (0, 10**4)),
        **dict.fromkeys(("no_object", "importance"), (0, 1)),
        "points": (1, 10**6),
        "oversample": (1, 100),
    }
    choices: ClassVar[Choices] = {"criterion": ("points", "focal")}


def matched_losses(
    masks: Tensor, logits: Tensor, targets: Sequence[Tensor], labels: Sequence[Tensor], settings: CriterionSettings
) -> dict[str, Tensor]:
    """Return the weighted losses "class", "mask" and "dice" of one supervised output: scalars.

    Images without ground truth teach all their queries "no object" and add nothing to the losses of masks.

    Args:
        masks: float `(B, Q, h, w)` logits.
        logits: float `(B, Q, K + 1)`; the last column is "no object".
        targets: B tensors `(N, H, W)`, one mask per thing.
        labels: B tensors int64 `(N,)`, its column.
        settings: Weights, and how masks are compared.
    """
    masks, logits = masks.float(), logits.float()
    criterion = _criterion(settings, logits.shape[-1] - 1)
    criterion.to(masks.device)
    pairs = [
        criterion.matcher(masks[b : b + 1], logits[b : b + 1], [targets[b]], [labels[b]])[0]
        if len(labels[b])
        else (torch.zeros(0, dtype=torch.int64),) * 2
        for b in range(len(masks))
    ]
    number = torch.tensor(float(max(1, sum(map(len, labels)))), device=masks.device)
    found = criterion.loss_labels(logits, list(labels), pairs)
    if any(len(own) for own in labels):
        found |= criterion.loss_masks(masks, list(targets), pairs, number)
    else:
        found |= dict.fromkeys(("loss_mask", "loss_dice"), masks.sum() * 0)
    return {
        "class": settings.class_weight * found["loss_cross_entropy"],
        "mask": settings.mask_weight * found["loss_mask"],
        "dice": settings.dice_weight * found["loss_dice"],
    }


@lru_cache(maxsize=64)
def _criterion(settings: CriterionSettings, classes: int) -> Any:
    """Transformers' criterion for a number of classes."""
    weights = {
        "loss_cross_entropy": settings.class_weight,
        "loss_mask": settings.mask_weight,
        "loss_dice": settings.dice_weight,
    }
    if settings.criterion == "focal":
        from transformers.models.maskformer.modeling_maskformer import MaskFormerHungarianMatcher, MaskFormerLoss

        matcher = MaskFormerHungarianMatcher(settings.class_weight, settings.mask_weight, settings.dice_weight)
        return MaskFormerLoss(classes, matcher, weights, settings.no_object)
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    config = Mask2FormerConfig(
        num_labels=classes,
        class_weight=settings.class_weight,
        mask_weight=settings.mask_weight,
        dice_weight=settings.dice_weight,
        no_object_weight=settings.no_object,
        train_num_points=settings.points,
        oversample_ratio=settings.oversample,
        importance_sample_ratio=settings.importance,
    )
    return Mask2FormerLoss(config, weights)
