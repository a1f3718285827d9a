"""A small data set whose scores can be worked out by hand, and segmenters with known faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fakes import BrightnessSegmenter
from tests.segmentations import dense_found
from wordmask.contracts import Encoded
from wordmask.data.sample import Query, Sample
from wordmask.evaluation.models import EvaluatedModel
from wordmask.images import RgbImage
from wordmask.ops.geometry import squash
from wordmask.ops.masks import empty, pack
from wordmask.prompts import TextPrompt
from wordmask.results import Segmentation

SIZE = (64, 64)


def halves(bright: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A black image whose last `bright` columns are white."""
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[:, SIZE[1] - bright :] = 255
    return pixels


def write_halves(folder: Path, number: int = 6) -> Path:
    """Write images of which 8, 16, 24 … columns are bright; the ground truth of every third is 8 columns narrower."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    keys = [f"p{place:03d}" for place in range(number)]
    for place, key in enumerate(keys):
        bright = 8 * (place % 6 + 1)
        Image.fromarray(halves(bright)).save(folder / "images" / f"{key}.png")
        labels = np.zeros(SIZE, dtype=np.uint8)
        labels[:, SIZE[1] - bright + (8 if place % 3 == 2 else 0) :] = 1
        Image.fromarray(labels).save(folder / "labels" / f"{key}.png")
    names = {"0": "dark", "1": "bright", "2": "purple"}
    (folder / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps({"val": keys, "train": keys[:1]}), encoding="utf-8")
    return folder


class Halves:
    """The same in memory, any number of them, with an absent name."""

    name, split, names = "halves", "all", ("dark", "bright")
    fingerprint, exhaustive = "made-up", True

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._number:
            raise IndexError(index)
        pixels = halves(8 * (index % 6 + 1))
        bright = pixels[..., 0] > 0
        queries = tuple(
            Query(TextPrompt(name), pack(mask), name) for name, mask in (("dark", ~bright), ("bright", bright))
        )
        queries += (Query(TextPrompt("purple"), empty(SIZE), "purple"),)
        return Sample(f"h{index:05d}", RgbImage(pixels), SIZE, queries, labels=bright.astype(np.int32))


class Shrunk(BrightnessSegmenter):
    """Sees only what lies in the lower half."""

    name = "shrunk"

    def _find(self, encoded: Any, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Any:
        found = super()._find(encoded, prompt, threshold, presence_threshold)
        values = found.heatmap_logits.values
        values[: values.shape[0] // 2] = -9
        return found


class Stumbling(BrightnessSegmenter):
    """Raises after so many images."""

    def __init__(self, patience: int) -> None:
        self._left = patience

    def encode(self, image: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().encode(image)


class Scripted(BrightnessSegmenter):
    """Returns given logits for every phrase, and lists the phrases of every call."""

    name = "scripted"

    def __init__(self, maps: dict[str, np.ndarray[Any, Any]]) -> None:
        self.maps, self.calls = maps, list[list[str]]()

    def encode(self, image: Any) -> Encoded:
        assert isinstance(image, RgbImage)
        return Encoded(image.size, squash(image.size, image.size), None, image, self.name)

    def segment(
        self, image: Any, prompts: Any, *, threshold: float | None = None, presence_threshold: float | None = None
    ) -> Segmentation:
        self.calls.append([prompt.name for prompt in prompts])
        cut = 0.5 if threshold is None else threshold
        founds = tuple(
            dense_found(prompt, self.maps[prompt.name], image.placement, threshold=cut) for prompt in prompts
        )
        return Segmentation(image.size, founds, image.image, self.name)


def evaluated(segmenter: Any = None) -> EvaluatedModel:
    chosen = segmenter or BrightnessSegmenter()
    return EvaluatedModel(chosen, chosen.name, checksum=f"of {chosen.name}")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text().splitlines())
