"""Detectors for studies: ground truth boxes, and disturbed ones."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from wordmask.contracts import DetectedBoxes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordmask.contracts import Detector, Encoded
    from wordmask.images import RgbImage
    from wordmask.ops.geometry import Size
    from wordmask.results.region import Box

__all__ = ["JitterDetector", "OracleDetector"]


class OracleDetector:
    """Returns the boxes that it was given, with score 1.

    Args:
        boxes: For each phrase in lower case, its boxes, XYXY in input pixels.
    """

    def __init__(self, boxes: Mapping[str, Sequence[Box]]) -> None:
        self.boxes = {phrase.lower(): tuple(own) for phrase, own in boxes.items()}

    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return the boxes of the phrases that are known."""
        found = [(box, index) for index, phrase in enumerate(phrases) for box in self.boxes.get(phrase.lower(), ())]
        return DetectedBoxes(
            np.array([box for box, _ in found], np.float32).reshape(-1, 4),
            np.ones(len(found), np.float32),
            np.array([index for _, index in found], np.int64),
        )


class JitterDetector:
    """Disturbs the boxes of another detector, always in the same way for the same image size, boxes and seed.

    Args:
        detector: The other one.
        sigma: Standard deviation of each side's shift, as a fraction of the box's side.
        miss_rate: Probability that a box is left out.
        false_rate: Probability that a box of the same size somewhere else is added, for each box.
        seed: Random seed.
    """

    def __init__(
        self, detector: Detector, *, sigma: float = 0.1, miss_rate: float = 0.0, false_rate: float = 0.0, seed: int = 0
    ) -> None:
        self.detector, self.sigma, self.seed = detector, sigma, seed
        self.miss_rate, self.false_rate = miss_rate, false_rate

    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return disturbed boxes inside the image."""
        found = self.detector.detect(image, phrases)
        random = np.random.default_rng([self.seed, zlib.crc32(found.boxes.tobytes())])
        count = len(found)
        sides = np.tile(found.boxes[:, 2:] - found.boxes[:, :2], 2)
        moved = found.boxes + random.normal(0, self.sigma, (count, 4)).astype(np.float32) * sides
        false = _elsewhere(random, sides[:, :2], image.size)
        kept, added = random.random(count) >= self.miss_rate, random.random(count) < self.false_rate
        boxes = np.concatenate([_ordered(moved, image.size)[kept], false[added]])
        scores = np.concatenate([found.scores[kept], found.scores[added]])
        return DetectedBoxes(boxes, scores, np.concatenate([found.phrase_index[kept], found.phrase_index[added]]))


def _elsewhere(random: np.random.Generator, sides: np.ndarray, size: Size) -> np.ndarray:
    """Boxes of those sides `(N, 2)` anywhere in the image."""
    room = np.maximum(np.array([size[1], size[0]], np.float32) - sides, 0)
    start = random.random(sides.shape).astype(np.float32) * room
    return np.concatenate([start, start + sides], axis=1)


def _ordered(boxes: np.ndarray, size: Size) -> np.ndarray:
    """Boxes with their sides in order and inside the image."""
    sides = np.stack([boxes[:, :2], boxes[:, 2:]])
    ends = np.concatenate([sides.min(axis=0), sides.max(axis=0)], axis=1)
    return ends.clip(0, np.array([size[1], size[0]] * 2, np.float32))
