"""Comparison of an exported model with the one that it was made from."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.ops.masks import iou
from wordmask.prompts import VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.contracts import Segmenter
    from wordmask.images import RgbImage

__all__ = ["Comparison", "compared", "compared_images"]

PHRASES = ("person", "face", "hair", "cat", "cup", "table", "sky", "wheel")
"""What is asked of the images."""
SIZES = ((240, 320), (320, 240), (96, 384), (333, 500))
"""Sizes of the images that are drawn where there are no others."""


@dataclass(frozen=True)
class Comparison:
    """How far an exported model is from its original.

    Attributes:
        images, prompts: What was compared.
        logits: Largest difference of a mask's logit.
        presence: Largest difference of a presence.
        iou: Lowest IoU of two masks that are not both empty, without the presence thresholds.
        mean_iou: Mean of these IoUs.
        eager_ms, exported_ms: Median time of one phrase about one image.
        ratio: The former by the latter: above 1, the exported model is faster.
    """

    images: int
    prompts: int
    logits: float
    presence: float
    iou: float
    mean_iou: float
    eager_ms: float
    exported_ms: float
    ratio: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def compared(
    eager: Segmenter, exported: Segmenter, images: Sequence[RgbImage], *, rounds: int = 5, prompts: Any = None
) -> Comparison:
    """Compare two models on images, phrases and an example.

    Args:
        eager: The original.
        exported: The exported one.
        images: What to look at; the first one is timed, and serves as the example.
        rounds: How often it is timed.
        prompts: Phrases; None takes `PHRASES`.
    """
    asked = [*(prompts or PHRASES), VisualPrompt(images[0])]
    logits, presences, ious = [0.0], [0.0], []
    for image in images:
        found, again = (model.segment(image, asked, presence_threshold=0.0) for model in (eager, exported))
        for first, second in zip(found, again, strict=True):
            presences.append(abs(first.presence - second.presence))
            if first.heatmap_logits is not None and second.heatmap_logits is not None:
                logits.append(float(np.abs(first.heatmap_logits.values - second.heatmap_logits.values).max()))
            if first.area or second.area:
                ious.append(iou(first.packed, second.packed))
    one, two = (_median(partial(model.segment, images[0], asked[0]), rounds) for model in (eager, exported))
    return Comparison(
        len(images), len(asked), max(logits), max(presences), min(ious, default=1.0),
        float(np.mean(ious)) if ious else 1.0, one, two, one / two,
    )  # fmt: skip


def compared_images() -> list[RgbImage]:
    """Return images to compare models on: the samples of scikit-image, where it is installed, and drawings."""
    from wordmask.errors import MissingExtraError
    from wordmask.images import SAMPLES, load_image

    images = []
    for name in SAMPLES:
        try:
            images.append(load_image(f"sample:{name}"))
        except MissingExtraError:
            break
    return images + [_drawing(number, size) for number, size in enumerate(SIZES)]


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


def _median(call: Callable[[], Any], rounds: int) -> float:
    """Median milliseconds of a call, after one that does not count."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))
