"""Remove connected parts of a mask whose probability stays far below that of its strongest part (hysteresis)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.components.thresholds import own_threshold
from wordmask.ops.probability import logit, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement

_BELOW = 0.02
"""Logits that removed cells end up below the threshold, so that interpolation does not bring them back."""


def without_weak_parts(
    logits: NDArray[np.float32], placement: Placement, ratio: float, *, negative: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], float]:
    """Return logits without weak parts, and the threshold at which the expected IoU of the rest is highest.

    A mask's own threshold (`own_threshold`) falls where much of the image is a little probable, and then lets in parts
    that are nowhere near as probable as the object. As in Canny's hysteresis, a connected part stays only if its
    highest probability reaches `ratio` times that of the strongest part; the threshold is then that of the rest.

    Args:
        logits: float32 `(h, w)` over the canvas; unchanged.
        placement: Position of the image on the canvas.
        ratio: From 0 (all parts stay) to 1 (the strongest alone stays).
        negative: float32 `(h, w)`, logits of the strongest negative phrase; see `own_threshold`.
    """
    threshold = own_threshold(logits, placement, negative=negative)
    inside = logits > logit(threshold)  # (h, w)
    if negative is not None:
        inside &= logits > negative
    number, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    if number <= 2:  # the background and at most one part
        return logits, threshold
    peaks = np.full(number, -np.inf, dtype=np.float32)
    np.maximum.at(peaks, parts.ravel().astype(np.intp), logits.ravel())
    peaks[0] = -np.inf
    probabilities = sigmoid(peaks)
    weak = (probabilities < ratio * probabilities.max())[parts] & (parts > 0)  # (h, w)
    if not weak.any():
        return logits, threshold
    own = own_threshold(np.where(weak, np.float32(-np.inf), logits), placement, negative=negative)
    ceiling = np.float32(min(logit(threshold), logit(own)) - _BELOW)
    return np.where(weak, np.minimum(logits, ceiling), logits), own
