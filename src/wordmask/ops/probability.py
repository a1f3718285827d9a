"""Logits and probabilities, and from what probability on a pixel should belong to the mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def logit(probability: float) -> float:
    """Return the logit whose sigmoid is `probability`; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities; written with tanh, which cannot overflow."""
    probabilities: NDArray[np.float32] = 0.5 + 0.5 * np.tanh(0.5 * logits)
    return probabilities


def best_level(logits: NDArray[np.float32]) -> float:
    """Return the probability above which pixels make the mask with the highest expected intersection over union.

    For a set S of cells that each belong to the thing with probability p, independent of each other, the intersection
    is expected to be I = sum of p over S, the union U = sum of p over all cells + |S| - I. I / U is highest for some
    number of the most probable cells (Nowozin, CVPR 2014, section 4), and one more cell raises it where
    p > J / (1 + J), J being the I / U reached: that is the level. A mask that is sure of itself is cut near one half;
    one that is unsure everywhere is cut lower, where a fixed level would leave nothing of it.

    Args:
        logits: float32 `(h, w)`, at least one cell, calibrated: of the cells with probability p, a share of p belongs
            to the thing.

    Returns:
        A probability in [0, 0.5].
    """
    sure = np.sort(sigmoid(logits.ravel()))[::-1]
    inside = np.cumsum(sure, dtype=np.float64)
    union = inside[-1] + np.arange(1, len(sure) + 1) - inside
    expected = float((inside / union).max())
    return expected / (1 + expected)
