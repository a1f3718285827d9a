"""Logits and probabilities, and the threshold with the highest expected IoU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)

LOWEST_THRESHOLD = 0.05
"""Lower bound of `best_threshold`: less probable cells never belong to a mask."""


def logit(probability: float) -> float:
    """Return the logit whose sigmoid is `probability`; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def sigmoid(logits: NDArray[Float]) -> NDArray[Float]:
    """Return probabilities; written with tanh, which cannot overflow."""
    probabilities = np.asarray(0.5 * logits)
    np.tanh(probabilities, out=probabilities)  # in place: new memory takes longer than the function itself
    probabilities *= 0.5
    probabilities += 0.5
    return probabilities


def best_threshold(logits: NDArray[np.float32]) -> float:
    """Return the probability above which pixels make the mask with the highest expected intersection over union.

    For a set S of cells that belong to the object with probabilities p, the expected intersection is I = sum of p over
    S, and the expected union is U = sum of p over all cells + |S| - I. Their ratio, which stands for the expected IoU,
    is highest for some number of the most probable cells (after Nowozin, CVPR 2014); adding a cell raises it where
    p > J / (1 + J), with J the ratio reached: that is the threshold. Confident masks are cut near 0.5, uncertain ones
    lower. At least one cell exceeds the threshold, unless none is as probable as `LOWEST_THRESHOLD`; whether the object
    is there at all is decided by presence.

    Args:
        logits: float32 `(h, w)`, calibrated where the object is present: of the cells with probability p, a
            fraction p belongs to it. Cells that are NaN do not count.

    Returns:
        A probability in [LOWEST_THRESHOLD, 0.5].
    """
    sure = sigmoid(logits[~np.isnan(logits)].astype(np.float64))
    total, threshold, last = float(sure.sum()), 0.0, -1.0
    while threshold > last:  # the ratio rises from step to step to its highest (Dinkelbach, 1967); a few steps
        last = threshold
        chosen = sure[sure > threshold]
        inside = float(chosen.sum())
        ratio = inside / max(total + len(chosen) - inside, 1e-300)
        threshold = max(ratio / (1 + ratio), last)
    return max(threshold, LOWEST_THRESHOLD)
