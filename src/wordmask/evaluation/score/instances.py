"""The task "instances": COCO's average precision, mask AP and boundary AP, of the instances that a model returns.

Where the data hold no instances, the connected parts of a query's mask are taken for them. Absent names are asked for,
too, where they are known: their masks are false positives. Without a vocabulary every query is an image of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.prompting import queries_of
from wordmask.evaluation.resizing import resize_image
from wordmask.evaluation.score.ground_truth import ground_truth_instances
from wordmask.evaluation.score.intervals import score_json
from wordmask.evaluation.score.scores import Scores
from wordmask.metrics.detection import (
    ClassInstances,
    average_precision,
    average_precision_by_class,
    boundary_ious,
    mask_ious,
)
from wordmask.metrics.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wordmask.data.sample import Query, Sample
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.score.scores import ScoreOptions
    from wordmask.results import Found

    Mask = NDArray[np.bool_]

__all__ = ["instance_scores", "record_instances"]

MOST = 100
"""Instances of a prompt that are scored, the highest scores first; COCO's limit."""


# --- one sample ------------------------------------------------------------------------------------------------------


def record_instances(model: PromptedModel, sample: Sample) -> dict[str, Any]:
    """Segment a sample and compute the IoU of its instances with the true ones, prompt by prompt.

    Raises:
        MissingExtraError: If pycocotools is not installed.
        WordmaskError: If the image cannot be read or the model does not take a prompt.
    """
    resized = resize_image(sample.image, sample.size, "original")
    encoded = model.segmenter.encode(resized.image)
    asked = queries_of(sample, model.protocol)
    ignored = None if sample.ignored is None else sample.ignored.full()
    founds = model.founds(encoded, [query.prompt for query, _ in asked])
    queries = [_query(query, found, ignored) for (query, _), found in zip(asked, founds, strict=True)]
    return {"pixels": sample.size[0] * sample.size[1], "queries": queries}


def _query(query: Query, found: Found, ignored: Mask | None) -> dict[str, Any]:
    kept = sorted(found.instances, key=lambda instance: -instance.score)[:MOST]
    true = ground_truth_instances(query, ignored)
    masks = [instance.mask if ignored is None else instance.mask & ~ignored for instance in kept]
    crowds = [crowd for _, crowd in true]
    overlaps = mask_ious(masks, [mask for mask, _ in true], crowds)
    outlines = boundary_ious(masks, [mask for mask, _ in true], crowds)
    return {
        "label": query.label,
        "scores": [round(float(instance.score), 7) for instance in kept],
        "areas": [int(np.count_nonzero(mask)) for mask in masks],
        "ground_truth_areas": [int(np.count_nonzero(mask)) for mask, _ in true],
        "crowds": crowds,
        "ious": overlaps.tolist(),
        "boundary_ious": np.minimum(overlaps, outlines).tolist(),
    }


# --- all samples -----------------------------------------------------------------------------------------------------


def instance_scores(records: Iterable[dict[str, Any]], options: ScoreOptions) -> Scores:
    """Compute average precision and recall of the records of all samples.

    They have no intervals: COCO's evaluation would have to run again for every draw.
    """
    found = list(records)
    masks, outlines = (_entries(found, name, classes=bool(options.names)) for name in ("ious", "boundary_ious"))
    scores = average_precision(masks)
    boundary = average_precision(outlines)
    scores |= {f"boundary_{name}": boundary[name] for name in ("ap", "ap50", "ap75")}
    by_share = average_precision(masks, areas="share")
    by_size = {
        size: {name: score_json(by_share[f"{name}_{size}"]) for name in ("ap", "ar")}
        for size in SIZES
        if not math.isnan(by_share.get(f"ar_{size}", math.nan))
    }
    by_name = {label: {"ap": score_json(value)} for label, value in average_precision_by_class(masks).items()}
    return Scores(
        {name: score_json(value) for name, value in scores.items()},
        by_size=by_size,
        by_name=by_name if options.names else {},
    )


def _entries(records: list[dict[str, Any]], ious: str, *, classes: bool) -> list[ClassInstances]:
    entries = []
    for place, record in enumerate(records):
        labels = set[str]()
        for number, query in enumerate(record["queries"]):
            label = query["label"] if classes else ""
            image = f"{place:09d}" if classes and label not in labels else f"{place:09d}/{number:06d}"
            labels.add(label)
            shape = len(query["scores"]), len(query["ground_truth_areas"])
            entries.append(
                ClassInstances(
                    image,
                    label,
                    record["pixels"],
                    query["scores"],
                    query["areas"],
                    query["ground_truth_areas"],
                    query["crowds"],
                    np.array(query[ious], dtype=np.float64).reshape(shape),
                )
            )
    return entries
