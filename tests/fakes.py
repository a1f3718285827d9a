"""A segmenter that needs no weights and whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tests.segmentations import dense_found
from wordmask.contracts import Encoded
from wordmask.images import load_image
from wordmask.ops.geometry import letterbox
from wordmask.prompts import TextPrompt, as_prompts
from wordmask.results import Found, Segmentation

CANVAS = (64, 64)


class BrightnessSegmenter:
    """Finds the "bright" or the "dark" half of the grey values; nothing else is ever there."""

    name = "brightness"
    accepts = frozenset({TextPrompt})
    joint_vocabulary = False
    trainable = False
    exportable = False

    def encode(self, image: Any) -> Encoded:
        import cv2

        image = load_image(image)
        placement = letterbox(image.size, CANVAS)
        _, _, height, width = placement.content
        grey = np.full(CANVAS, 127.5, dtype=np.float32)
        small = cv2.resize(image.pixels.mean(axis=2).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        grey[:height, :width] = small
        return Encoded(image.size, placement, grey, image, self.name)

    def segment(
        self,
        image: Any,
        prompts: Any,
        *,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Segmentation:
        encoded = image if isinstance(image, Encoded) else self.encode(image)
        founds = tuple(
            self._find(encoded, prompt, 0.5 if threshold is None else threshold, presence_threshold)
            for prompt in as_prompts(prompts)
        )
        return Segmentation(encoded.size, founds, encoded.image, self.name)

    def segment_many(
        self,
        images: Iterable[Any],
        prompts: Any,
        *,
        batch_size: int = 8,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Iterator[Segmentation]:
        return (
            self.segment(image, prompts, threshold=threshold, presence_threshold=presence_threshold) for image in images
        )

    def _find(self, encoded: Encoded, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Found:
        sign = {"bright": 1.0, "dark": -1.0}.get(prompt.name, 0.0)
        logits = (sign * (encoded.features - 127.5) / 16).astype(np.float32)
        presence = 0.97 if sign else 0.02
        return dense_found(
            prompt,
            logits,
            encoded.placement,
            presence=presence,
            threshold=threshold,
            presence_threshold=0.5 if presence_threshold is None else presence_threshold,
        )
