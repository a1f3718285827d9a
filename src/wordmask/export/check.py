"""Comparison of an exported model with the one that it was made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.ops.masks import iou
from wordmask.prompts import VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.contracts import Segmenter
    from wordmask.images import RgbImage
    from wordmask.results import Segmentation

__all__ = ["PHRASES", "Comparison", "compared", "compared_images", "photographs"]

PHRASES = ("person", "face", "hair", "cat", "cup", "table", "sky", "wheel")
"""What is asked of the images."""
SIZES = ((240, 320), (320, 240), (96, 384), (333, 500))
"""Sizes of the images that are drawn where there are no others."""


@dataclass(frozen=True)
class Comparison:
    """How far the masks of one model are from those of another.

    Attributes:
        images, prompts: What was compared.
        logits: Largest difference of a mask's logit.
        presence: Largest difference of a presence.
        iou: Lowest IoU of two masks that are not both empty, without the presence thresholds.
        mean_iou: Mean of these IoUs.
        masks: How many masks are drawn, by either model, with its own thresholds.
        masks_iou: Mean IoU of these; 0 for a mask that only one of them draws.
    """

    images: int
    prompts: int
    logits: float
    presence: float
    iou: float
    mean_iou: float
    masks: int
    masks_iou: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def compared(eager: Segmenter, other: Segmenter, images: Sequence[RgbImage], *, prompts: Any = None) -> Comparison:
    """Compare two models on images, phrases and an example.

    Args:
        eager: The original.
        other: The other one.
        images: What to look at; the first one serves as the example.
        prompts: Phrases; None takes `PHRASES`.
    """
    asked = [*(prompts or PHRASES), VisualPrompt(images[0])]
    logits, presences, every, masks = [0.0], [0.0], [], []
    for image in images:
        encoded = [(model, model.encode(image)) for model in (eager, other)]
        whole = [model.segment(features, asked, presence_threshold=0.0) for model, features in encoded]
        for first, second in zip(*whole, strict=True):
            presences.append(abs(first.presence - second.presence))
            if first.heatmap_logits is not None and second.heatmap_logits is not None:
                logits.append(float(np.abs(first.heatmap_logits.values - second.heatmap_logits.values).max()))
        every += _overlaps(*whole)
        masks += _overlaps(*(model.segment(features, asked) for model, features in encoded))
    return Comparison(
        len(images), len(asked), max(logits), max(presences), min(every, default=1.0), _mean(every), len(masks),
        _mean(masks),
    )  # fmt: skip


def _overlaps(one: Segmentation, other: Segmentation) -> list[float]:
    """IoU of each pair of masks that are not both empty."""
    pairs = [(first.packed, second.packed) for first, second in zip(one, other, strict=True)]
    return [iou(first, second) for first, second in pairs if first.area or second.area]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 1.0


def compared_images() -> list[RgbImage]:
    """Return images to compare models on: the photographs that are at hand, and drawings."""
    return photographs() + [_drawing(number, size) for number, size in enumerate(SIZES)]


def photographs() -> list[RgbImage]:
    """Return the samples of scikit-image, where it is installed."""
    from wordmask.errors import MissingExtraError
    from wordmask.images import SAMPLES, load_image

    try:
        return [load_image(f"sample:{name}") for name in SAMPLES]
    except MissingExtraError:
        return []


def _drawing(seed: int, size: tuple[int, int]) -> RgbImage:
    """A smooth image of random colours with sharp rectangles."""
    import cv2

    from wordmask.images import load_image

    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    for _ in range(8):
        y, x = (int(random.integers(0, side)) for side in size)
        height, width = (int(random.integers(8, max(9, side // 2))) for side in size)
        pixels[y : y + height, x : x + width] = random.integers(0, 256, 3)
    return load_image(pixels)
