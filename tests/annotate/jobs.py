"""Small jobs with a segmenter whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fakes import BrightnessSegmenter
from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.job import JobSettings, Summary, run_job
from wordmask.annotate.models import JobModel
from wordmask.annotate.ontology import Ontology, parse_prompt


class CountingSegmenter(BrightnessSegmenter):
    """Counts the images that it encoded and the phrases that it was asked."""

    def __init__(self) -> None:
        self.encoded = 0
        self.asked: list[str] = []

    def encode(self, image: Any) -> Any:
        self.encoded += 1
        return super().encode(image)

    def segment(self, image: Any, prompts: Any, **options: Any) -> Any:
        self.asked += [prompt.text for prompt in prompts]
        return super().segment(image, prompts, **options)


def write_images(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write images of 24 x 36 pixels, each with a bright rectangle of its own on a dark ground."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        pixels = np.full((24, 36, 3), 10, dtype=np.uint8)
        x, y = random.integers(0, 20), random.integers(0, 12)
        pixels[y : y + random.integers(6, 12), x : x + random.integers(6, 16)] = 245
        pixels[-1, -1] = number % 256
        paths.append(folder / f"{number:04d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def run(
    images: Sequence[Path] | Path,
    out: Path,
    prompts: Sequence[str] = ("bright",),
    *,
    segmenter: Any = None,
    method: str = "fake",
    report: Any = None,
    **settings: Any,
) -> Summary:
    """Annotate images with the fake."""
    words = [str(images)] if isinstance(images, Path) else [str(path) for path in images]
    made = segmenter or BrightnessSegmenter()
    ontology = Ontology.of(map(parse_prompt, prompts))
    chosen = JobSettings(**{"batch": 4, **settings})
    return run_job(expand_inputs(words, out=out), ontology, out, JobModel(method, lambda: made), chosen, report)
