"""How good a model is on pictures that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.ops.masks import intersection
from wordmask.prompts import TextPrompt
from wordmask.train.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.ops.masks import PackedMask

__all__ = ["Tally", "tally"]

ABSENT = 3
"""Phrases known to be absent that are asked of each picture."""


@dataclass
class Tally:
    """Sums over answers.

    Attributes:
        iou: Sum of intersection over union of what is there.
        there: Phrases that are there.
        alarms: Phrases that are not there and got a mask all the same.
        absent: Phrases that are not there.
    """

    iou: float = 0.0
    there: int = 0
    alarms: int = 0
    absent: int = 0

    def values(self) -> tuple[float, ...]:
        """Return the sums, to be added over processes."""
        return self.iou, float(self.there), float(self.alarms), float(self.absent)

    def scores(self) -> dict[str, float]:
        """Return mean IoU and the share of false alarms; what nobody was asked for is left out."""
        scores = {"iou": self.iou / self.there} if self.there else {}
        return scores | ({"false_alarms": self.alarms / self.absent} if self.absent else {})


def tally(segmenter: Segmenter, dataset: Dataset, indices: Iterable[int]) -> Tally:
    """Ask a model for everything in some samples, and for a few things that are not there."""
    sums = Tally()
    for index in indices:
        sample = dataset[index]
        asked = [(phrase_of(query.prompt) or query.label, query.packed) for query in sample.queries]
        absent = sample.absent[:ABSENT]
        prompts = [TextPrompt(phrase) for phrase in (*(phrase for phrase, _ in asked), *absent)]
        answer = list(segmenter.segment(sample.image, prompts))
        known = None if sample.ignored is None else sample.ignored
        for found, (_, truth) in zip(answer, asked, strict=False):
            if truth.area:
                sums.iou += _overlap(found.packed, truth, known)
                sums.there += 1
            else:
                sums.alarms, sums.absent = sums.alarms + (found.packed.area > 0), sums.absent + 1
        for found in answer[len(asked) :]:
            sums.alarms, sums.absent = sums.alarms + (found.packed.area > 0), sums.absent + 1
    return sums


def _overlap(mask: PackedMask, truth: PackedMask, ignored: PackedMask | None) -> float:
    """IoU outside the ignored pixels."""
    if ignored is None:
        joint, whole = intersection(mask, truth), mask.area + truth.area
    else:
        known = ~ignored.full()
        first, second = mask.full() & known, truth.full() & known
        joint, whole = int((first & second).sum()), int(first.sum()) + int(second.sum())
    return joint / (whole - joint) if whole > joint else 1.0
