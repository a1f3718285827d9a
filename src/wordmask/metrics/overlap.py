"""Pixel counts of a predicted mask against its ground truth, and intersection over union."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.means import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def confusion_counts(mask: Mask, ground_truth: Mask, ignored: Mask | None = None) -> tuple[int, int, int, int]:
    """Count true positives, false positives, false negatives and true negatives in pixels.

    Args:
        mask: bool `(H, W)`, the prediction.
        ground_truth: bool `(H, W)`.
        ignored: bool `(H, W)`, pixels left out; None = none.
    """
    if ignored is not None:
        keep = ~ignored
        mask, ground_truth = mask & keep, ground_truth & keep
    both, predicted, true = (int(np.count_nonzero(one)) for one in (mask & ground_truth, mask, ground_truth))
    pixels = ground_truth.size if ignored is None else int(np.count_nonzero(keep))
    return both, predicted - both, true - both, pixels - predicted - true + both


def intersection_and_union(mask: Mask, ground_truth: Mask, ignored: Mask | None = None) -> tuple[int, int]:
    """Count the pixels of intersection and union of two bool `(H, W)` masks, ignored pixels left out."""
    tp, fp, fn, _ = confusion_counts(mask, ground_truth, ignored)
    return tp, tp + fp + fn


def ious(rows: NDArray[Any], *, empty: float, epsilon: float = 0.0) -> NDArray[np.float64]:
    """Compute intersection over union, float64 `(N,)`.

    Args:
        rows: `(N, 2)`, intersection and union in pixels.
        empty: IoU of two empty masks, where the union is 0. Boundary IoU and binary scores take 1, the literature on
            referring expressions 0.
        epsilon: Added to the union; the mIoU of TAS and Global-Local CLIP has 1e-6.
    """
    return quotient(rows[:, 0], rows[:, 1] + epsilon, otherwise=empty)
