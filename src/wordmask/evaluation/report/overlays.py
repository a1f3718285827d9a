"""Overlays of ground truth and predictions for the page of a comparison."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wordmask.evaluation.prompting import queries_of
from wordmask.evaluation.resizing import letterbox_mask, resize_image
from wordmask.formats.files import write
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.results import Found, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image

    from wordmask.data.sample import Query, Sample
    from wordmask.evaluation.disagreements import Disagreement
    from wordmask.evaluation.models import EvaluatedModel
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.protocols import EvaluationProtocol
    from wordmask.evaluation.resizing import Resized
    from wordmask.evaluation.runner import Evaluation

__all__ = ["image_file", "write_overlays"]

WIDEST = 640
"""Pixels of an overlay's longer side."""


def write_overlays(
    evaluation: Evaluation, models: Sequence[EvaluatedModel], shown: Sequence[Disagreement], folder: Path
) -> None:
    """Draw ground truth and predictions of the images shown, one model after the other."""
    samples = [evaluation.data[one.index] for one in shown]
    for number, (sample, one) in enumerate(zip(samples, shown, strict=True)):
        _save(_ground_truth(evaluation.protocol, sample, one), folder / image_file(number, None))
    for place, model in enumerate(models):
        prompted = evaluation.prompted(model)
        for number, (sample, one) in enumerate(zip(samples, shown, strict=True)):
            _save(_prediction(prompted, sample, one), folder / image_file(number, place))


def image_file(number: int, model: int | None) -> str:
    """Return the path of an overlay inside the folder: of a model by its index, of the ground truth for None."""
    return f"images/{number + 1}-{'ground-truth' if model is None else f'model-{model + 1}'}.png"


def _queries(protocol: EvaluationProtocol, sample: Sample, one: Disagreement) -> list[Query]:
    """Return the prompts to draw: those of the greatest spread, or the largest regions of a label map."""
    if one.places:
        asked = queries_of(sample, protocol)
        return [asked[place][0] for place in one.places]
    largest = sorted(sample.queries, key=lambda query: -query.packed.area)[:3]
    return [replace(query, prompt=TextPrompt(protocol.phrase(query.label))) for query in largest]


def _prediction(model: PromptedModel, sample: Sample, one: Disagreement) -> Image.Image:
    resized = resize_image(sample.image, sample.size, model.protocol.resize)
    encoded = model.segmenter.encode(resized.image)
    founds = model.founds(encoded, [query.prompt for query in _queries(model.protocol, sample, one)])
    if model.protocol.threshold is not None:  # scored by the threshold alone, so drawn so
        founds = (replace(found, presence_threshold=0.0) for found in founds)
    return _overlay(resized, tuple(founds), model.segmenter.name)


def _ground_truth(protocol: EvaluationProtocol, sample: Sample, one: Disagreement) -> Image.Image:
    resized = resize_image(sample.image, sample.size, protocol.resize)
    founds = tuple(_true(query, resized) for query in _queries(protocol, sample, one))
    return _overlay(resized, founds, "ground truth")


def _true(query: Query, resized: Resized) -> Found:
    """Return a ground truth in the form of a result."""
    letterboxed = resized.resize == "letterbox352"
    mask = letterbox_mask(query.mask) if letterboxed else np.asarray(resized.ground_truth(query.mask))
    regions = (Region(pack(mask), 1.0),) if mask.any() else ()
    presence = float(mask.any())
    return Found(
        query.prompt, presence, threshold=0.5, presence_threshold=0.5, size=resized.image.size, regions=regions
    )


def _overlay(resized: Resized, founds: tuple[Found, ...], name: str) -> Image.Image:
    return Segmentation(resized.image.size, founds, resized.image, name).overlay()


def _save(overlay: Image.Image, path: Path) -> None:
    overlay.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    overlay.save(buffer, "PNG", optimize=True)
    write(path, buffer.getvalue())
