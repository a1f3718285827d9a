"""Lexical isolation without a second network: regions from the map that a dense segmenter makes for a phrase."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wordmask.components.windows import part_boxes
from wordmask.contracts import DetectedBoxes, Encoded
from wordmask.ops import masks
from wordmask.ops.probability import logit, sigmoid
from wordmask.prompts import TextPrompt
from wordmask.prompts.left_right import swap_left_right
from wordmask.results import Region
from wordmask.results.region import Candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.images import RgbImage
    from wordmask.methods.dense import DenseSegmenter
    from wordmask.ops.geometry import Size
    from wordmask.prompts import Prompt
    from wordmask.results import Found

__all__ = ["MapIsolator", "isolated_candidates", "with_other_side"]


def with_other_side(prompt: Prompt) -> Prompt:
    """Return a phrase with a side ("left eye") with the same thing on the other side as a negative.

    So the two sides are told apart jointly: a pixel belongs to the one that fits it better.
    """
    if not isinstance(prompt, TextPrompt):
        return prompt
    other = swap_left_right(prompt.text)
    if other == prompt.text or other in prompt.negatives:
        return prompt
    return replace(prompt, negatives=(*prompt.negatives, other))


def isolated_candidates(found: Found) -> tuple[Candidate, ...]:
    """Return the parts of a dense result as regions with boxes, the most probable first; () where it is absent."""
    dense = found.heatmap_logits
    if not found.present or dense is None:
        return ()
    regions = []
    for part in masks.components(dense.packed(found.threshold), min_area_ratio=0.01):
        score = dense.mean_probability(part)
        regions.append(Region(part, score, box=part.box))
    regions.sort(key=lambda region: -region.score)
    return tuple(Candidate(region, {"map": region.score}, chosen=True) for region in regions)


class MapIsolator:
    """A `Detector` made from a dense segmenter: one box for each part of a phrase's mask.

    Args:
        segmenter: Such as the compact network's.
    """

    def __init__(self, segmenter: DenseSegmenter) -> None:
        self.segmenter = segmenter

    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return boxes with scores, each belonging to one phrase; none for what is not there.

        The score is the highest probability in the part times the presence.
        """
        prompts = [with_other_side(TextPrompt(phrase)) for phrase in phrases]
        result = self.segmenter.segment(image, prompts, refine=False)
        rows = [(box, score, index) for index, found in enumerate(result) for box, score in _boxes(found, result.size)]
        rows.sort(key=lambda row: -row[1])
        return DetectedBoxes(
            np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.int64),
        )


def _boxes(found: Found, size: Size) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes of the parts of a result with their scores."""
    dense = found.heatmap_logits
    if not found.present or dense is None:
        return []
    mask = found.mask
    heat: NDArray[np.float32] = sigmoid(np.maximum(dense.values, np.float32(logit(0.01))))
    down, across = heat.shape[0] / size[0], heat.shape[1] / size[1]
    boxes = []
    for box in part_boxes(mask, size):
        x0, y0, x1, y1 = box
        rows = slice(int(y0 * down), max(int(y0 * down) + 1, round(y1 * down)))
        columns = slice(int(x0 * across), max(int(x0 * across) + 1, round(x1 * across)))
        boxes.append((box, float(found.presence) * float(heat[rows, columns].max())))
    return boxes
