"""Logits and probabilities, and from what probability on a pixel should belong to the mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)

UNSURE = 0.05
"""No level of a mask's own is lower: cells less likely than this are not shown, whatever the others are."""


def logit(probability: float) -> float:
    """Return the logit whose sigmoid is `probability`; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def sigmoid(logits: NDArray[Float]) -> NDArray[Float]:
    """Return probabilities; written with tanh, which cannot overflow."""
    probabilities: NDArray[Float] = 0.5 + 0.5 * np.tanh(0.5 * logits)
    return probabilities


def best_level(logits: NDArray[np.float32]) -> float:
    """Return the probability above which pixels make the mask with the highest expected intersection over union.

    For a set S of cells that belong to the thing with probabilities p, the intersection is expected to be I = sum of p
    over S, the union U = sum of p over all cells + |S| - I. The ratio of the two, which stands for the expected IoU, is
    highest for some number of the most probable cells (after Nowozin, CVPR 2014), and one more cell raises it where
    p > J / (1 + J), J being the ratio reached: that is the level. A mask that is sure of itself is cut near one half;
    one that is unsure everywhere is cut lower, where a fixed level would leave nothing of it. There is always a cell
    above it, unless none is as likely as `UNSURE`: whether the thing is there at all is for presence to say.

    Args:
        logits: float32 `(h, w)`, calibrated where the thing is there: of the cells with probability p, a share of p
            belongs to it. Cells that are NaN do not count.

    Returns:
        A probability in [UNSURE, 0.5].
    """
    sure = sigmoid(logits[~np.isnan(logits)].astype(np.float64))
    total, level, last = float(sure.sum()), 0.0, -1.0
    while level > last:  # the ratio rises from step to step to its highest (Dinkelbach, 1967); a few steps
        last = level
        chosen = sure[sure > level]
        inside = float(chosen.sum())
        ratio = inside / max(total + len(chosen) - inside, 1e-300)
        level = max(ratio / (1 + ratio), last)
    return max(level, UNSURE)
