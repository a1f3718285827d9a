"""What a model is asked before and after a training, about words that are not trained.

Two sources of evidence:

- with truth: pictures with masks that the user names; every phrase of theirs that is not trained, and names known to
  be absent;
- without truth: pictures at hand and the sample pictures, asked for everyday words and for things that hardly any
  picture shows. The model before is compared with the model after: that shows change, not quality.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from wordmask.errors import TrainingError, quote, sentence
from wordmask.images import SAMPLES, RgbImage, load_image
from wordmask.ops.resize import resize
from wordmask.ops.rle import RLE, encode_packed
from wordmask.prompts import TextPrompt
from wordmask.train.inspection import inspect, require_sound
from wordmask.train.sources import open_data
from wordmask.train.validation import Answered, Question, ask, questions_of
from wordmask.train.vocabulary import EVERYDAY, FAR_AWAY, asked_of, normalised, spread, trained_phrases, unmentioned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.ops.geometry import Size
    from wordmask.train.recipes import Recipe
    from wordmask.train.sources import DataChoice, Lessons

__all__ = ["GUARD", "Answers", "Exam", "Guard", "Marked", "open_exam", "sit"]

AT_HAND = 20
"""Pictures of the run that are asked without truth."""
LONGEST = 512
"""Their longer side in pixels, at most: there is no truth to be compared with at full size."""
ABSENT = 5
"""Names known to be absent that are asked of a picture."""


@dataclass(frozen=True)
class Guard:
    """How forgetting is looked for.

    Attributes:
        data: Pictures with truth, in any shape that a training reads; None = only without truth.
        split: Part of it, of sets that have parts.
        pictures: Most that are asked of it, evenly spaced.
    """

    data: Path | None = None
    split: str = "val"
    pictures: int = 100


GUARD = Guard()
"""Without truth, which costs little and needs nothing."""


@dataclass(frozen=True)
class Exam:
    """The questions.

    Attributes:
        guard: What the user chose.
        truth: Data with truth; None where none are named.
        indices: Those of its samples that are asked.
        at_hand: Data of the run.
        shown: Those of its samples that are asked without truth.
        trained: Phrases that the training draws, normalised.
        everyday, far: Words asked without truth.
    """

    guard: Guard
    truth: Dataset | None
    indices: tuple[int, ...]
    at_hand: Dataset
    shown: tuple[int, ...]
    trained: frozenset[str]
    everyday: tuple[str, ...]
    far: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return what the answers depend on beside the model."""
        trained = hashlib.sha256("\n".join(sorted(self.trained)).encode()).hexdigest()[:16]
        truth = None if self.truth is None else [self.truth.name, self.truth.split, self.truth.fingerprint]
        shown = [self.at_hand.fingerprint, *map(str, self.shown)]
        words = {"everyday": list(self.everyday), "far": list(self.far), "trained": trained}
        return {"truth": truth, "indices": list(self.indices), "shown": shown, "samples": _samples(), **words}


class Marked(NamedTuple):
    """An answer without truth.

    Attributes:
        key: Of the picture.
        word: What was asked.
        mask: The answer.
    """

    key: str
    word: str
    mask: RLE


class Answers(NamedTuple):
    """All answers of one model.

    Attributes:
        truth: To questions with truth.
        everyday: Masks for everyday words.
        far: Whether words for things that are hardly anywhere found something (`iou` is None).
        absent: The same for names that the data at hand know to be absent.
    """

    truth: list[Answered]
    everyday: list[Marked]
    far: list[Answered]
    absent: list[Answered]

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {name: [list(answer) for answer in answers] for name, answers in self._asdict().items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Answers:
        """Read what `to_json` gave."""
        marked = [Marked(*answer) for answer in values["everyday"]]
        rest = {name: [Answered(*answer) for answer in values[name]] for name in ("truth", "far", "absent")}
        return cls(everyday=marked, **rest)


def open_exam(
    guard: Guard, lessons: Lessons, choice: DataChoice, recipe: Recipe, *, skip_bad: bool, scratch: Path
) -> tuple[Exam, tuple[str, ...]]:
    """Choose the questions.

    Args:
        guard: What the user chose.
        lessons: What is trained on and measured on.
        choice: What the user said about them; `exhaustive` holds for the guard's data, too.
        recipe: Which phrases are drawn.
        skip_bad: Whether what is wrong with the guard's data is left out.
        scratch: Folder for corrected annotations, where they are needed.

    Returns:
        The questions, and sentences about what is left out.

    Raises:
        TrainingError: If data are named for a model whose decoder is fresh.
        DataError: If the guard's data are wrong.
    """
    truth, indices, problems = _open_truth(guard, choice, recipe, skip_bad, scratch)
    trained = trained_phrases(lessons.train, lessons.usable, recipe)
    at_hand, usable = (lessons.train, lessons.usable) if lessons.valid is None else (lessons.valid, lessons.judged)
    shown = spread(usable, AT_HAND)
    seen = {phrase for index in shown for phrase in asked_of(at_hand[index])}
    everyday, far = unmentioned(EVERYDAY, trained), unmentioned(FAR_AWAY, trained | seen)
    return Exam(guard, truth, indices, at_hand, shown, trained, everyday, far), problems


def _open_truth(
    guard: Guard, choice: DataChoice, recipe: Recipe, skip_bad: bool, scratch: Path
) -> tuple[Dataset | None, tuple[int, ...], tuple[str, ...]]:
    if guard.data is None:
        return None, (), ()
    if recipe.fresh:
        got = f"the guard {quote(guard.data)} for a decoder that starts from random weights"
        raise TrainingError(sentence(got, "a model that knows something", "leave --guard out"))
    named = replace(choice, dataset=None, images=None)
    dataset, problems = open_data(named, guard.data, guard.split, scratch)
    found = inspect(dataset, spread(range(len(dataset)), guard.pictures))
    problems = (*problems, *found.problems)
    if not skip_bad:
        require_sound(problems)
    return dataset, found.usable, problems


def sit(exam: Exam, segmenter: Segmenter) -> Answers:
    """Ask a model everything."""
    answers = Answers([], [], [], [])
    for index in exam.indices:
        assert exam.truth is not None
        sample = exam.truth[index]
        asked = questions_of(sample, spread(sample.absent, ABSENT))
        answers.truth.extend(ask(segmenter, sample, [one for one in asked if _counts(one, exam.trained)]))
    for key, picture, absent in _pictures(exam):
        groups = (exam.everyday, exam.far, absent)
        founds = iter(segmenter.segment(picture, [TextPrompt(word) for group in groups for word in group]))
        answers.everyday.extend(Marked(key, word, encode_packed(next(founds).packed)) for word in exam.everyday)
        answers.far.extend(Answered(key, word, None, next(founds).packed.area > 0) for word in exam.far)
        answers.absent.extend(Answered(key, word, None, next(founds).packed.area > 0) for word in absent)
    return answers


def _counts(question: Question, trained: frozenset[str]) -> bool:
    """Whether a question says something about forgetting: what is absent always does."""
    is_there = question.truth is not None and question.truth.area
    return not is_there or normalised(question.phrase) not in trained


def _pictures(exam: Exam) -> Iterator[tuple[str, RgbImage, tuple[str, ...]]]:
    """Yield key, picture and names known to be absent."""
    for index in exam.shown:
        sample = exam.at_hand[index]
        yield sample.key, _small(load_image(sample.image)), spread(sample.absent, ABSENT)
    for name in _samples():
        yield name, _small(load_image(name)), ()


def _samples() -> list[str]:
    """Addresses of the sample pictures, where they are installed."""
    from importlib.util import find_spec

    return [f"sample:{name}" for name in SAMPLES] if find_spec("skimage") else []


def _small(picture: RgbImage) -> RgbImage:
    share = LONGEST / max(picture.size)
    if share >= 1:
        return picture
    size: Size = (max(1, round(picture.size[0] * share)), max(1, round(picture.size[1] * share)))
    return RgbImage(resize(picture.pixels, size), picture.name)
