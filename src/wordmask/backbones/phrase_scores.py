"""Scores of detected boxes for phrases, from the logits of a detector's text tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.contracts import DetectedBoxes
from wordmask.ops.probability import sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size

__all__ = ["LOWEST_SCORE", "MOST_BOXES", "best_phrases", "concatenated", "from_centres", "span_scores"]

LOWEST_SCORE = 0.01
"""Detectors do not return boxes below this."""
MOST_BOXES = 300
"""Boxes that a detector returns for one image and one pass, the best ones."""


def span_scores(logits: NDArray[np.float32], spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Return `(Q, P)`: for every box and phrase, the highest probability among the phrase's tokens.

    Greedy decoding of the tokens above a threshold, as the published demos do it, cuts labels ("pottedplant" becomes
    "potted") and may join tokens of two phrases; a maximum over known spans cannot.

    Args:
        logits: float32 `(Q, L)`, one per token; minus infinity for padding.
        spans: `(first, end)` of each phrase's tokens, the end exclusive.
    """
    return np.stack([sigmoid(logits[:, first:end].max(axis=1)) for first, end in spans], axis=1)


def best_phrases(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], phrases: Sequence[int], *, lowest: float = LOWEST_SCORE
) -> DetectedBoxes:
    """Give each box to the phrase that it fits best, and keep the best boxes.

    Args:
        boxes: float32 `(Q, 4)`, XYXY in input pixels.
        scores: float32 `(Q, P)` in [0, 1].
        phrases: For each of the P columns, the phrase's index in the caller's list.
        lowest: Boxes that score less are left out.
    """
    column = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), column]
    order = np.argsort(-best, kind="stable")[:MOST_BOXES]
    order = order[best[order] >= lowest]
    index = np.asarray(phrases, dtype=np.int64)[column[order]]
    return DetectedBoxes(boxes[order].astype(np.float32), best[order].astype(np.float32), index)


def concatenated(parts: Sequence[DetectedBoxes]) -> DetectedBoxes:
    """Join the boxes of several passes, the best first."""
    if not parts:
        none = np.zeros(0, np.float32)
        return DetectedBoxes(np.zeros((0, 4), np.float32), none, none.astype(np.int64))
    boxes, scores, index = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "scores", "phrase_index")
    )
    order = np.argsort(-scores, kind="stable")
    return DetectedBoxes(boxes[order], scores[order], index[order])


def from_centres(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Return XYXY in pixels, inside the image, of boxes `(cx, cy, w, h)` relative to it.

    Args:
        boxes: float32 `(Q, 4)` in [0, 1].
        size: `(H, W)` of the image.
    """
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1).clip(0, 1)
    result: NDArray[np.float32] = corners * np.array([size[1], size[0]] * 2, np.float32)
    return result
