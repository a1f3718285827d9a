"""The task "masks": one mask per prompt. Records of samples, and scores with intervals from the records.

Things that are absent count in the scores of presence only: an empty mask for them is neither good nor bad.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.prompting import queries_of
from wordmask.evaluation.resizing import resize_image
from wordmask.evaluation.score.counting import count, count_packed
from wordmask.evaluation.score.intervals import mean_over_images, one_hot, over_images, score_json
from wordmask.evaluation.score.mirrored import mirror_counts
from wordmask.evaluation.score.predictions import predicted_mask, wants_probability
from wordmask.evaluation.score.presence import presence_scores
from wordmask.evaluation.score.rows import Rows
from wordmask.evaluation.score.scores import Scores
from wordmask.evaluation.score.sweep import sweep_scores
from wordmask.metrics.binary import binary_scores
from wordmask.metrics.bootstrap import Statistic, mean_over_groups, ratio_of_sums
from wordmask.metrics.means import deviation, mean
from wordmask.metrics.overlap import ious
from wordmask.metrics.sizes import SIZES, size_of
from wordmask.metrics.thresholds import histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wordmask.data.sample import Query, Sample
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.resizing import Resized
    from wordmask.evaluation.score.scores import ScoreOptions
    from wordmask.results import Found

    Mask = NDArray[np.bool_]

__all__ = ["MOST_NAMES", "mask_scores", "record_masks"]

MOST_NAMES = 1000
"""Sets with more labels are not broken down by name, nor are those without classes, where every prompt is its own."""

AT = (0.5, 0.6, 0.7, 0.8, 0.9)
EPSILON = 1e-6
"""Added to the union by the reference's mIoU of referring expressions (TAS, Global-Local CLIP)."""

_MEAN = ratio_of_sums((0,), (1,))


# --- one sample ------------------------------------------------------------------------------------------------------


def record_masks(model: PromptedModel, sample: Sample) -> dict[str, Any]:
    """Segment a sample and count its pixels: one row a prompt, values that JSON can hold.

    Raises:
        WordmaskError: If the image cannot be read or the model does not take a prompt.
    """
    resized = resize_image(sample.image, sample.size, model.protocol.resize)
    encoded = model.segmenter.encode(resized.image)
    asked = queries_of(sample, model.protocol)
    ignored = None if sample.ignored is None else resized.ground_truth(sample.ignored.full())
    founds = model.founds(encoded, [query.prompt for query, _ in asked])
    rows = [
        _row(model, query, absent, found, resized, ignored)
        for (query, absent), found in zip(asked, founds, strict=True)
    ]
    if model.mirror:
        for place, counts in mirror_counts(model, [query for query, _ in asked], resized, encoded, ignored):
            rows[place]["mirror"] = counts
    return {"rows": rows}


def _row(
    model: PromptedModel, query: Query, absent: bool, found: Found, resized: Resized, ignored: Mask | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"label": query.label, "absent": absent, "detected": found.present}
    row["presence"] = round(float(found.presence), 7)
    if resized.resize == "original" and not wants_probability(model):
        return row | {"counts": count_packed(found.packed, query.packed, ignored)}
    ground_truth, probability = resized.ground_truth(query.mask), resized.probability(found)
    row["counts"] = count(predicted_mask(model, found, resized, probability), ground_truth, ignored)
    if model.protocol.sweep:
        row["histogram"] = histogram(probability, ground_truth, ignored).tolist()
    return row


# --- all samples -----------------------------------------------------------------------------------------------------


def mask_scores(records: Iterable[dict[str, Any]], options: ScoreOptions) -> Scores:
    """Compute the scores of the records of all samples, in order."""
    rows, protocol = Rows.of(records), options.protocol
    bootstrap = {"draws": options.draws, "seed": options.seed}
    scores: dict[str, Any] = {}
    if protocol.sweep:
        threshold = protocol.threshold if options.threshold is None else options.threshold
        scores |= sweep_scores(rows, protocol.classes, threshold, folds=options.folds, **bootstrap)
    present = np.flatnonzero(rows.present)
    scores |= _mask_means(rows, present, **bootstrap)
    labels = sorted(set(rows.labels[present].tolist()))
    classes = [label for label in labels if label in options.names]
    if classes and len(classes) <= MOST_NAMES:
        scores["class_miou"] = _class_miou(rows, present, classes, **bootstrap)
    named = options.names and len(labels) <= MOST_NAMES
    return Scores(
        scores | _mirrored(rows, **bootstrap),
        presence_scores(rows, **bootstrap),
        _by_size(rows, present, **bootstrap),
        _by_name(rows, present, labels, **bootstrap) if named else {},
    )


def _mean_of(values: NDArray[Any], rows: Rows, chosen: NDArray[np.int64], draws: int, seed: int) -> Any:
    return mean_over_images(values, rows.image[chosen], rows.images, draws=draws, seed=seed)


def _mask_means(rows: Rows, chosen: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Any]:
    """Compute the means over prompts and ratios of sums of the things that are present."""
    pairs = rows.overlaps[chosen]
    scores = {"miou": _mean_of(ious(pairs, empty=0.0, epsilon=EPSILON), rows, chosen, draws, seed)}
    oiou = over_images(pairs, rows.image[chosen], rows.images, _MEAN, draws=draws, seed=seed)
    scores["oiou"] = score_json(oiou)
    for threshold in AT:
        scores[f"pr@{threshold:g}"] = _mean_of(ious(pairs, empty=0.0) > threshold, rows, chosen, draws, seed)
    by_prompt = binary_scores(rows.confusion[chosen])
    for name in ("dice", "recall", "precision", "specificity", "mcc", "iou"):
        scores[name] = _mean_of(by_prompt[name], rows, chosen, draws, seed)
        scores[f"{name}_std"] = score_json(deviation(by_prompt[name]))
    bands = rows.counts[chosen, 6:]
    for name, columns in (("boundary_iou", bands[:, :2]), ("boundary_iou_2px", bands[:, 2:])):
        scores[name] = _mean_of(ious(columns, empty=1.0), rows, chosen, draws, seed)
    return {name: score for name, score in scores.items() if score is not None}


def _class_miou(rows: Rows, chosen: NDArray[np.int64], classes: list[str], *, draws: int, seed: int) -> Any:
    """Compute the mean over classes of summed intersections over summed unions."""
    wide = one_hot(rows.labels[chosen], classes, rows.overlaps[chosen])
    by_class: Statistic = mean_over_groups(_MEAN)

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return by_class(sums.reshape(*sums.shape[:-1], len(classes), 2))

    return score_json(over_images(wide, rows.image[chosen], rows.images, statistic, draws=draws, seed=seed))


def _part(rows: Rows, chosen: NDArray[np.int64], draws: int, seed: int) -> dict[str, Any]:
    by_prompt = binary_scores(rows.confusion[chosen])
    return {
        "prompts": len(chosen),
        "iou": _mean_of(by_prompt["iou"], rows, chosen, draws, seed),
        "dice": _mean_of(by_prompt["dice"], rows, chosen, draws, seed),
        "recall": _mean_of(by_prompt["recall"], rows, chosen, draws, seed),
        "boundary_iou_2px": _mean_of(ious(rows.counts[chosen, 8:], empty=1.0), rows, chosen, draws, seed),
    }


def _by_size(rows: Rows, chosen: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Any]:
    """Break scores down by the size of the target: its whole ground truth, ignored pixels included."""
    areas, pixels = rows.column("area")[chosen].tolist(), rows.column("pixels")[chosen].tolist()
    sizes = np.array([size_of(area, total) for area, total in zip(areas, pixels, strict=True)], dtype=np.str_)
    met = [size for size in SIZES if (sizes == size).any()]
    return {size: _part(rows, chosen[sizes == size], draws, seed) for size in met}


def _by_name(rows: Rows, chosen: NDArray[np.int64], labels: list[str], *, draws: int, seed: int) -> dict[str, Any]:
    held = rows.labels[chosen]
    return {label: _part(rows, chosen[held == label], draws, seed) for label in labels}


def _mirrored(rows: Rows, *, draws: int, seed: int) -> dict[str, Any]:
    """Compute the agreement of masks with those of the mirrored images, and the ratio of their mean IoUs.

    `mirror_ratio` is 1 for a model that does not care about sides, less for one that handles one side better.
    """
    counts, chosen = rows.mirror
    if not len(counts):
        return {}
    plain, mirrored = (mean(ious(counts[:, start : start + 2], empty=1.0)) for start in (2, 4))
    return {
        "mirror_iou": _mean_of(ious(counts[:, :2], empty=1.0), rows, chosen, draws, seed),
        "mirror_ratio": score_json(mirrored / plain if plain else math.nan),
    }
