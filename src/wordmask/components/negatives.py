"""Negative phrases: what a prompt must not be confused with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wordmask.prompts import MixedPrompt, Prompt, VisualPrompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST_THRESHOLD = 1e-8
"""Replaces the threshold 0 where a prompt has negatives: a probability that float32 heatmaps round to 0."""


def negatives_of(prompt: Prompt) -> tuple[str, ...]:
    """Return the negative phrases of a prompt; () for a visual prompt."""
    if isinstance(prompt, VisualPrompt):
        return ()
    return (prompt.phrase if isinstance(prompt, MixedPrompt) else prompt).negatives


def suppress(logits: NDArray[np.float32], negative: NDArray[np.float32], *, threshold: float) -> NDArray[np.float32]:
    """Lower logits so that exactly the cells where a negative is at least as high fall to the threshold or below.

    With t the threshold's logit, min(own, own - negative + t) exceeds t where own exceeds both t and the negative, and
    it is continuous across the border between them, so it can be interpolated.

    Args:
        logits: float32 `(h, w)`.
        negative: float32 `(h, w)`, the highest logits of all negatives.
        threshold: Probability above which a pixel belongs to the mask.

    Returns:
        float32 `(h, w)`.
    """
    limit = math.log(threshold / (1 - threshold)) if threshold < 1 else 0.0
    lowered: NDArray[np.float32] = np.minimum(logits, logits - negative + np.float32(limit))
    return lowered
