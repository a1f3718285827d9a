"""Scores with their intervals, computed from what was written down of every sample: no model runs here.

Intervals are the percentile bootstrap over pictures (see `wordmask.metrics.bootstrap`), 95 %: how far a score may move
with another choice of pictures from the same source. They say nothing about another training run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluate.resampling import presence_scores
from wordmask.evaluate.rows import Rows, one_hot, over_pictures, score_json
from wordmask.evaluate.sweeping import sweep_scores
from wordmask.metrics.accumulator import deviation, mean
from wordmask.metrics.binary import binary_scores
from wordmask.metrics.bootstrap import Statistic, mean_over_groups, ratio_of_sums
from wordmask.metrics.boundary import agreement
from wordmask.metrics.proposals import average_recall, recall_at
from wordmask.metrics.referring import EPSILON, ious
from wordmask.metrics.sizes import SIZES, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from wordmask.evaluate.protocol import Rules

__all__ = ["DRAWS", "MOST_NAMES", "Scored", "mask_scores"]

DRAWS = 1000
"""Number of resampled values of an interval."""

MOST_NAMES = 1000
"""Sets with more labels are not broken down by name, nor are those without classes, where every prompt is its own."""

AT = (0.5, 0.6, 0.7, 0.8, 0.9)
_MEAN = ratio_of_sums((0,), (1,))


@dataclass(frozen=True)
class Scored:
    """The scores of one run, as values that JSON can hold.

    Attributes:
        scores: By name `{"value", "low", "high"}`, fractions.
        presence: The same about the question whether a thing is there; empty where no absent name was asked.
        by_size: Scores of present things by size of the target.
        by_name: Scores of present things by label.
    """

    scores: dict[str, Any]
    presence: dict[str, Any] = field(default_factory=dict)
    by_size: dict[str, Any] = field(default_factory=dict)
    by_name: dict[str, Any] = field(default_factory=dict)


def mask_scores(
    records: Iterable[dict[str, Any]],
    rules: Rules,
    *,
    names: tuple[str, ...] = (),
    parts: Mapping[str, str] | None = None,
    threshold: float | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Scored:
    """Return the scores of a run that answered with masks.

    Things that are not there count in the scores of presence only: an empty answer to them is neither a good nor a
    bad mask.

    Args:
        records: What `Judge.record` made of every sample, in order.
        rules: Under which.
        names: The set's vocabulary; () where labels are no classes.
        parts: Label -> fold, where a score is the mean over folds.
        threshold: Replaces the rules'.
        seed: Of the intervals.
        draws: Of the intervals.
    """
    rows = Rows.of(records)
    bootstrap = {"draws": draws, "seed": seed}
    scores: dict[str, Any] = {}
    if rules.sweep:
        level = rules.threshold if threshold is None else threshold
        scores |= sweep_scores(rows, rules.classes, level, parts=parts, **bootstrap)
    there = np.flatnonzero(rows.there)
    scores |= _mask_means(rows, there, **bootstrap)
    labels = sorted(set(rows.labels[there].tolist()))
    classes = [label for label in labels if label in names]
    if classes and len(classes) <= MOST_NAMES:
        scores["class_miou"] = _class_miou(rows, there, classes, **bootstrap)
    return Scored(
        scores | _mirrored(rows, **bootstrap) | _proposed(rows, **bootstrap),
        presence_scores(rows, **bootstrap),
        _by_size(rows, there, **bootstrap),
        _by_name(rows, there, labels, **bootstrap) if names and len(labels) <= MOST_NAMES else {},
    )


def _mean_of(values: NDArray[Any], rows: Rows, chosen: NDArray[np.int64], draws: int, seed: int) -> Any:
    pairs = np.stack([values, np.ones(len(values))], axis=1)
    return score_json(over_pictures(pairs, rows.picture[chosen], rows.pictures, _MEAN, draws=draws, seed=seed))


def _overlaps(rows: Rows, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return intersection and union, int64 `(N, 2)`."""
    counted = rows.confusion[chosen]
    return np.stack([counted[:, 0], counted[:, :3].sum(axis=1)], axis=1)


def _mask_means(rows: Rows, chosen: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Any]:
    """Return what is a mean over prompts, or a ratio of sums, of the things that are there."""
    pairs = _overlaps(rows, chosen)
    picture = rows.picture[chosen]
    scores = {"miou": _mean_of(pairs[:, 0] / (pairs[:, 1] + EPSILON), rows, chosen, draws, seed)}
    oiou = over_pictures(pairs, picture, rows.pictures, _MEAN, draws=draws, seed=seed)
    scores["oiou"] = score_json(oiou)
    for level in AT:
        scores[f"pr@{level:g}"] = _mean_of(ious(pairs) > level, rows, chosen, draws, seed)
    by_prompt = binary_scores(rows.confusion[chosen])
    for name in ("dice", "recall", "precision", "specificity", "mcc", "iou"):
        scores[name] = _mean_of(by_prompt[name], rows, chosen, draws, seed)
        scores[f"{name}_std"] = score_json(deviation(by_prompt[name]))
    bands = rows.counts[chosen, 6:]
    for name, columns in (("boundary_iou", bands[:, :2]), ("boundary_iou_2px", bands[:, 2:])):
        scores[name] = _mean_of(agreement(columns), rows, chosen, draws, seed)
    return {name: score for name, score in scores.items() if score is not None}


def _class_miou(rows: Rows, chosen: NDArray[np.int64], classes: list[str], *, draws: int, seed: int) -> Any:
    """Return the mean over classes of summed intersections over summed unions."""
    wide = one_hot(rows.labels[chosen], classes, _overlaps(rows, chosen))
    by_class: Statistic = mean_over_groups(_MEAN)

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return by_class(sums.reshape(*sums.shape[:-1], len(classes), 2))

    return score_json(over_pictures(wide, rows.picture[chosen], rows.pictures, statistic, draws=draws, seed=seed))


def _part(rows: Rows, chosen: NDArray[np.int64], draws: int, seed: int) -> dict[str, Any]:
    by_prompt = binary_scores(rows.confusion[chosen])
    return {
        "prompts": len(chosen),
        "iou": _mean_of(by_prompt["iou"], rows, chosen, draws, seed),
        "dice": _mean_of(by_prompt["dice"], rows, chosen, draws, seed),
        "recall": _mean_of(by_prompt["recall"], rows, chosen, draws, seed),
        "boundary_iou_2px": _mean_of(agreement(rows.counts[chosen, 8:]), rows, chosen, draws, seed),
    }


def _by_size(rows: Rows, chosen: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Any]:
    areas, pixels = rows.column("area")[chosen].tolist(), rows.column("pixels")[chosen].tolist()
    sizes = np.array([size_of(area, total) for area, total in zip(areas, pixels, strict=True)], dtype=np.str_)
    met = [size for size in SIZES if (sizes == size).any()]
    return {size: _part(rows, chosen[sizes == size], draws, seed) for size in met}


def _by_name(rows: Rows, chosen: NDArray[np.int64], labels: list[str], *, draws: int, seed: int) -> dict[str, Any]:
    held = rows.labels[chosen]
    return {label: _part(rows, chosen[held == label], draws, seed) for label in labels}


def _mirrored(rows: Rows, *, draws: int, seed: int) -> dict[str, Any]:
    counts, chosen = rows.mirror
    if not len(counts):
        return {}
    plain, turned = (mean(agreement(counts[:, start : start + 2])) for start in (2, 4))
    return {
        "mirror_iou": _mean_of(agreement(counts[:, :2]), rows, chosen, draws, seed),
        "mirror_ratio": score_json(turned / plain if plain else math.nan),
    }


def _proposed(rows: Rows, *, draws: int, seed: int) -> dict[str, Any]:
    values, chosen = rows.proposals
    if not len(values):
        return {}
    best, answered = values[:, 0], values[:, 1]
    return {
        "proposal_ar": score_json(average_recall(best)),
        "proposal_r50": score_json(recall_at(best, 0.5)),
        "proposal_r75": score_json(recall_at(best, 0.75)),
        "mean_best_iou": _mean_of(best, rows, chosen, draws, seed),
        "oracle_gap": _mean_of(best - answered, rows, chosen, draws, seed),
    }
