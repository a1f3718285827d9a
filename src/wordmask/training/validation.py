"""Scores of a model on samples that it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wordmask.components.place.prompts import names_as_given
from wordmask.ops.masks import intersection, pack
from wordmask.prompts import TextPrompt
from wordmask.training.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from accelerate import Accelerator
    from numpy.typing import NDArray

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.data.sample import Sample
    from wordmask.ops.masks import PackedMask
    from wordmask.training.data import Subset

__all__ = ["Question", "Scored", "Totals", "answer", "questions_of", "score", "totals_by_phrase", "validate"]

ABSENT = 3
"""Phrases known to be absent that are asked of each image."""


class Question(NamedTuple):
    """A phrase asked of an image.

    Attributes:
        phrase: The words.
        ground_truth: The true mask; None, or an empty one, where the phrase is absent.
    """

    phrase: str
    ground_truth: PackedMask | None


class Scored(NamedTuple):
    """The score of one answer.

    Attributes:
        key: Of the sample.
        phrase: What was asked.
        iou: Intersection over union with the ground truth; None where the phrase is absent.
        found: Whether the mask has any pixel: where the phrase is absent, a false positive.
    """

    key: str
    phrase: str
    iou: float | None
    found: bool


@dataclass
class Totals:
    """Running totals over answers.

    Attributes:
        iou: Sum of intersection over union of phrases that are present.
        present: Number of these.
        false_positives: Number of absent phrases that got a mask.
        absent: Number of absent phrases.
    """

    iou: float = 0.0
    present: int = 0
    false_positives: int = 0
    absent: int = 0

    def add(self, scored: Scored) -> None:
        """Count one answer."""
        if scored.iou is None:
            self.false_positives, self.absent = self.false_positives + scored.found, self.absent + 1
        else:
            self.iou, self.present = self.iou + scored.iou, self.present + 1

    def values(self) -> tuple[float, ...]:
        """Return the four totals."""
        return self.iou, float(self.present), float(self.false_positives), float(self.absent)

    @classmethod
    def sum(cls, parts: Iterable[Totals]) -> Totals:
        """Return the totals over parts."""
        whole = cls()
        for part in parts:
            whole.iou += part.iou
            whole.present += part.present
            whole.false_positives += part.false_positives
            whole.absent += part.absent
        return whole

    def scores(self) -> dict[str, float]:
        """Return mean IoU and the rate of false positives; what was never asked is left out."""
        scores = {"iou": self.iou / self.present} if self.present else {}
        return scores | ({"false_positives": self.false_positives / self.absent} if self.absent else {})


def validate(accelerator: Accelerator, segmenter: Segmenter, samples: Subset) -> dict[str, Totals]:
    """Score a model on some samples, shared out among the processes; return the totals of each phrase."""
    from accelerate.utils import gather_object

    mine = samples.indices[accelerator.process_index :: accelerator.num_processes]
    scored = list(score(segmenter, samples.dataset, mine))
    return totals_by_phrase(Scored(*one) for one in gather_object(scored))


def totals_by_phrase(scored: Iterable[Scored]) -> dict[str, Totals]:
    """Return the totals of each phrase's answers, phrases in alphabetical order."""
    totals: dict[str, Totals] = {}
    for one in scored:
        totals.setdefault(one.phrase, Totals()).add(one)
    return dict(sorted(totals.items()))


def score(segmenter: Segmenter, dataset: Dataset, indices: Iterable[int]) -> Iterator[Scored]:
    """Ask a model for all phrases of some samples, and for a few absent ones; yield each answer's score."""
    for index in indices:
        sample = dataset[index]
        yield from answer(segmenter, sample, questions_of(sample, sample.absent[:ABSENT]))


def questions_of(sample: Sample, absent: Iterable[str]) -> list[Question]:
    """Return a sample's queries as questions, and those about names known to be absent."""
    present = [Question(phrase_of(query.prompt) or query.label, query.packed) for query in sample.queries]
    return present + [Question(phrase, None) for phrase in absent]


def answer(segmenter: Segmenter, sample: Sample, questions: Sequence[Question]) -> list[Scored]:
    """Ask a model about one image. Ignored pixels count neither for nor against an answer."""
    if not questions:
        return []
    known = None if sample.ignored is None else ~sample.ignored.full()  # (H, W)
    asked = [one for one in questions if not _is_ignored(one, known)]
    phrases = [TextPrompt(question.phrase) for question in asked]
    answers = segmenter.segment(sample.image, phrases, **names_as_given(segmenter)) if asked else ()
    scored = []
    for found, (phrase, target) in zip(answers, asked, strict=True):
        mask = _known_part(found.packed, known)
        iou = _overlap(mask, _known_part(target, known)) if target is not None and target.area else None
        scored.append(Scored(sample.key, phrase, iou, mask.area > 0))
    return scored


def _is_ignored(question: Question, known: NDArray[np.bool_] | None) -> bool:
    """Whether all of a phrase's mask is ignored: then nobody knows whether the phrase is present."""
    target = question.ground_truth
    return target is not None and target.area > 0 and _known_part(target, known).area == 0


def _known_part(mask: PackedMask, known: NDArray[np.bool_] | None) -> PackedMask:
    return mask if known is None else pack(mask.full() & known)


def _overlap(mask: PackedMask, target: PackedMask) -> float:
    """IoU of two masks, the second not empty."""
    shared, both = intersection(mask, target), mask.area + target.area
    return shared / (both - shared)
