"""The images on which models differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SHOWN", "Disagreement", "find_disagreements"]

SHOWN = 8
"""Images on the page."""

PROMPTS_SHOWN = 3
"""Prompts of an image that its overlays show."""


@dataclass(frozen=True)
class Disagreement:
    """An image on which models differ.

    Attributes:
        index: Of the sample in the data set.
        key: Its name.
        labels: Labels of the prompts with the greatest spread, greatest first; () for label maps.
        places: Their indices among the prompts of the sample.
        scores: For every model the IoU of each of these prompts, or the share of pixels with the right label.
    """

    index: int
    key: str
    labels: tuple[str, ...]
    places: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]


def find_disagreements(
    records: Sequence[list[dict[str, Any]]], *, labels: bool, count: int = SHOWN
) -> list[Disagreement]:
    """Return the images with the greatest spread between models, greatest first.

    Args:
        records: The records of every model, of the same samples.
        labels: Whether they are of label maps.
        count: At most so many.
    """
    find = _spread_labels if labels else _spread_masks
    found = [find(index, [own[index] for own in records]) for index in range(len(records[0]))]
    spread = [max((max(s) - min(s) for s in zip(*one.scores, strict=True)), default=0.0) for one in found]
    order = sorted(range(len(found)), key=lambda index: (-spread[index], index))
    return [found[index] for index in order[:count] if spread[index] > 0]


def _spread_masks(index: int, records: Sequence[dict[str, Any]]) -> Disagreement:
    ious = np.array([[_iou(row["counts"]) for row in record["rows"]] for record in records])
    rows = records[0]["rows"]
    order = sorted(range(len(rows)), key=lambda place: (-float(np.ptp(ious[:, place])), place))[:PROMPTS_SHOWN]
    scores = tuple(tuple(float(own[place]) for place in order) for own in ious)
    return Disagreement(
        records[0].get("n", index), records[0]["key"], tuple(rows[p]["label"] for p in order), tuple(order), scores
    )


def _iou(counts: Sequence[int]) -> float:
    tp, fp, fn = counts[2:5]
    return tp / (tp + fp + fn) if tp + fp + fn else 1.0


def _spread_labels(index: int, records: Sequence[dict[str, Any]]) -> Disagreement:
    scores = []
    for record in records:
        total = sum(pixels for _, _, pixels in record["confusion"])
        right = sum(pixels for true, predicted, pixels in record["confusion"] if true == predicted)
        scores.append((right / total if total else 0.0,))
    return Disagreement(records[0].get("n", index), records[0]["key"], (), (), tuple(scores))
