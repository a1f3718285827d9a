"""How good a model is on pictures that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wordmask.ops.masks import intersection
from wordmask.prompts import TextPrompt
from wordmask.train.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.data.sample import Sample
    from wordmask.ops.masks import PackedMask

__all__ = ["Answered", "Question", "Tally", "ask", "by_phrase", "judge", "questions_of", "tally", "total"]

ABSENT = 3
"""Phrases known to be absent that are asked of each picture."""


class Question(NamedTuple):
    """What is asked of a picture.

    Attributes:
        phrase: The words.
        truth: The true mask; None, or an empty one, where the thing is not there.
    """

    phrase: str
    truth: PackedMask | None


class Answered(NamedTuple):
    """What an answer is worth.

    Attributes:
        key: Of the picture.
        phrase: What was asked.
        iou: Intersection over union with the truth; None where the thing is not there.
        found: Whether the answer is a mask with anything in it: where the thing is not there, a false alarm.
    """

    key: str
    phrase: str
    iou: float | None
    found: bool


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

    def add(self, answered: Answered) -> None:
        """Count one answer."""
        if answered.iou is None:
            self.alarms, self.absent = self.alarms + answered.found, self.absent + 1
        else:
            self.iou, self.there = self.iou + answered.iou, self.there + 1

    def values(self) -> tuple[float, ...]:
        """Return the sums, to be added over processes."""
        return self.iou, float(self.there), float(self.alarms), float(self.absent)

    def scores(self) -> dict[str, float]:
        """Return mean IoU and the share of false alarms; what nobody was asked for is left out."""
        scores = {"iou": self.iou / self.there} if self.there else {}
        return scores | ({"false_alarms": self.alarms / self.absent} if self.absent else {})


def tally(segmenter: Segmenter, dataset: Dataset, indices: Iterable[int]) -> Tally:
    """Ask a model for everything in some samples, and for a few things that are not there."""
    return total(judge(segmenter, dataset, indices))


def total(answers: Iterable[Answered]) -> Tally:
    """Return the sums over answers."""
    sums = Tally()
    for answered in answers:
        sums.add(answered)
    return sums


def by_phrase(answers: Iterable[Answered]) -> dict[str, Tally]:
    """Return the sums over each phrase's answers, phrases in alphabetical order."""
    sums: dict[str, Tally] = {}
    for answered in answers:
        sums.setdefault(answered.phrase, Tally()).add(answered)
    return dict(sorted(sums.items()))


def judge(segmenter: Segmenter, dataset: Dataset, indices: Iterable[int]) -> Iterator[Answered]:
    """Yield what every answer is worth that `tally` counts."""
    for index in indices:
        sample = dataset[index]
        yield from ask(segmenter, sample, questions_of(sample, sample.absent[:ABSENT]))


def questions_of(sample: Sample, absent: Iterable[str]) -> list[Question]:
    """Return a sample's queries as questions, and those about names known to be absent."""
    asked = [Question(phrase_of(query.prompt) or query.label, query.packed) for query in sample.queries]
    return asked + [Question(phrase, None) for phrase in absent]


def ask(segmenter: Segmenter, sample: Sample, questions: Sequence[Question]) -> list[Answered]:
    """Ask a model about one picture."""
    if not questions:
        return []
    answers = segmenter.segment(sample.image, [TextPrompt(question.phrase) for question in questions])
    judged = []
    for found, (phrase, truth) in zip(answers, questions, strict=True):
        worth = _overlap(found.packed, truth, sample.ignored) if truth is not None and truth.area else None
        judged.append(Answered(sample.key, phrase, worth, found.packed.area > 0))
    return judged


def _overlap(mask: PackedMask, truth: PackedMask, ignored: PackedMask | None) -> float:
    """IoU outside the ignored pixels."""
    if ignored is None:
        joint, whole = intersection(mask, truth), mask.area + truth.area
    else:
        known = ~ignored.full()
        first, second = mask.full() & known, truth.full() & known
        joint, whole = int((first & second).sum()), int(first.sum()) + int(second.sum())
    return joint / (whole - joint) if whole > joint else 1.0
