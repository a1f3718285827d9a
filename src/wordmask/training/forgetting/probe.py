"""Questions to a model before and after a training, about phrases that are not trained.

Two sources of evidence:

- labelled images that the user names: all of their phrases that are not trained, and names known to be absent;
- unlabelled images, those of the run and the sample images, asked for everyday words and for things that hardly any
  image shows. The answers before are compared with those after: that shows change, not quality.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from wordmask.components.place.prompts import names_as_given
from wordmask.data.problems import problems_of, require_sound
from wordmask.errors import TrainingError, quote, sentence
from wordmask.images import SAMPLES, RgbImage, load_image
from wordmask.ops.resize import resize
from wordmask.ops.rle import RLE, encode_packed
from wordmask.prompts import TextPrompt
from wordmask.training.data import Subset
from wordmask.training.forgetting.vocabulary import EVERYDAY, FAR_AWAY, asked_of, normalised, unmentioned
from wordmask.training.inspection import inspect
from wordmask.training.opening import open_split, spread
from wordmask.training.validation import Question, Scored, answer, questions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.contracts import Segmenter
    from wordmask.ops.geometry import Size
    from wordmask.training.data import DataChoice, TrainingData

__all__ = ["PROBE", "Answers", "MaskAnswer", "Probe", "ProbeChoice", "ask", "open_probe"]

UNLABELLED = 20
"""Images of the run that are asked without ground truth."""
LONGEST = 512
"""Their longer side in pixels, at most: there is no ground truth to be compared with at full size."""
ABSENT = 5
"""Names known to be absent that are asked of an image."""


@dataclass(frozen=True)
class ProbeChoice:
    """How forgetting is looked for.

    Attributes:
        data: Labelled images, in any shape that a training reads; None = only unlabelled ones.
        split: Part of it, of sets that have parts.
        images: Most that are asked of it, evenly spaced.
    """

    data: Path | None = None
    split: str = "val"
    images: int = 100


PROBE = ProbeChoice()
"""Unlabelled images alone, which costs little and needs nothing."""


@dataclass(frozen=True)
class Probe:
    """The questions.

    Attributes:
        choice: What the user chose.
        labelled: Samples with ground truth; None where none are named.
        unlabelled: Samples of the run that are asked without it.
        trained: Phrases that the training asks for, normalised.
        everyday, far: Words asked of unlabelled images.
    """

    choice: ProbeChoice
    labelled: Subset | None
    unlabelled: Subset
    trained: frozenset[str]
    everyday: tuple[str, ...]
    far: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return what the answers depend on beside the model."""
        trained = hashlib.sha256("\n".join(sorted(self.trained)).encode()).hexdigest()[:16]
        unlabelled = [self.unlabelled.dataset.fingerprint, *map(str, self.unlabelled.indices)]
        words = {"everyday": list(self.everyday), "far": list(self.far), "trained": trained}
        return {"labelled": _described(self.labelled), "unlabelled": unlabelled, "samples": _samples(), **words}


def _described(samples: Subset | None) -> list[Any] | None:
    if samples is None:
        return None
    dataset = samples.dataset
    return [dataset.name, dataset.split, dataset.fingerprint, list(samples.indices)]


class MaskAnswer(NamedTuple):
    """An answer without ground truth.

    Attributes:
        key: Of the image.
        phrase: What was asked.
        mask: The answer.
    """

    key: str
    phrase: str
    mask: RLE


class Answers(NamedTuple):
    """All answers of one model.

    Attributes:
        labelled: Scores on labelled images.
        everyday: Masks for everyday words.
        far: Whether words for things that are hardly anywhere got a mask (`iou` is None).
        absent: The same for names that the unlabelled samples' data know to be absent.
    """

    labelled: list[Scored]
    everyday: list[MaskAnswer]
    far: list[Scored]
    absent: list[Scored]

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {name: [list(answer) for answer in answers] for name, answers in self._asdict().items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Answers:
        """Read what `to_json` gave."""
        masks = [MaskAnswer(*answer) for answer in values["everyday"]]
        rest = {name: [Scored(*answer) for answer in values[name]] for name in ("labelled", "far", "absent")}
        return cls(everyday=masks, **rest)


def open_probe(
    choice: ProbeChoice, data: TrainingData, source: DataChoice, *, pretrained: bool, skip_bad: bool
) -> tuple[Probe, tuple[str, ...]]:
    """Choose the questions.

    Args:
        choice: What the user chose.
        data: What is trained on and validated on.
        source: What the user said about them; `exhaustive` holds for the probe's data, too.
        pretrained: Whether the model knows something before the training.
        skip_bad: Whether what is wrong with the probe's data is left out.

    Returns:
        The questions, and sentences about what is left out.

    Raises:
        TrainingError: If data are named for a model that starts from random weights.
        DataError: If the probe's data are wrong.
    """
    labelled, problems = _open_labelled(choice, source, pretrained=pretrained, skip_bad=skip_bad)
    trained = frozenset(map(normalised, data.train.phrases()))
    samples = data.sample if data.validation is None else data.validation
    unlabelled = Subset(samples.dataset, spread(samples.indices, UNLABELLED))
    seen = {phrase for index in unlabelled.indices for phrase in asked_of(unlabelled.dataset[index])}
    everyday, far = unmentioned(EVERYDAY, trained), unmentioned(FAR_AWAY, trained | seen)
    return Probe(choice, labelled, unlabelled, trained, everyday, far), problems


def _open_labelled(
    choice: ProbeChoice, source: DataChoice, *, pretrained: bool, skip_bad: bool
) -> tuple[Subset | None, tuple[str, ...]]:
    if choice.data is None:
        return None, ()
    if not pretrained:
        got = f"the forgetting probe {quote(choice.data)} for a model that starts from random weights"
        raise TrainingError(sentence(got, "a model that knows something", "leave --probe out"))
    dataset = open_split(replace(source, dataset=None, images=None), choice.data, choice.split)
    found = inspect(dataset, spread(tuple(range(len(dataset))), choice.images))
    problems = (*problems_of(dataset), *found.problems)
    if not skip_bad:
        require_sound(problems)
    return Subset(dataset, found.usable), problems


def ask(probe: Probe, segmenter: Segmenter) -> Answers:
    """Ask a model everything."""
    answers = Answers([], [], [], [])
    for index in probe.labelled.indices if probe.labelled is not None else ():
        assert probe.labelled is not None
        sample = probe.labelled.dataset[index]
        questions = questions_of(sample, spread(sample.absent, ABSENT))
        answers.labelled.extend(answer(segmenter, sample, [one for one in questions if _counts(one, probe.trained)]))
    for key, image, absent in _images(probe):
        groups = (probe.everyday, probe.far, absent)
        words = [TextPrompt(word) for group in groups for word in group]
        founds = iter(segmenter.segment(image, words, **names_as_given(segmenter)))
        answers.everyday.extend(MaskAnswer(key, word, encode_packed(next(founds).packed)) for word in probe.everyday)
        answers.far.extend(Scored(key, word, None, next(founds).packed.area > 0) for word in probe.far)
        answers.absent.extend(Scored(key, word, None, next(founds).packed.area > 0) for word in absent)
    return answers


def _counts(question: Question, trained: frozenset[str]) -> bool:
    """Whether a question says something about forgetting: one about what is absent always does."""
    present = question.ground_truth is not None and question.ground_truth.area
    return not present or normalised(question.phrase) not in trained


def _images(probe: Probe) -> Iterator[tuple[str, RgbImage, tuple[str, ...]]]:
    """Yield key, unlabelled image and names known to be absent."""
    for index in probe.unlabelled.indices:
        sample = probe.unlabelled.dataset[index]
        yield sample.key, _small(load_image(sample.image)), spread(sample.absent, ABSENT)
    for name in _samples():
        yield name, _small(load_image(name)), ()


def _samples() -> list[str]:
    """Addresses of the sample images, where they are installed."""
    from importlib.util import find_spec

    return [f"sample:{name}" for name in SAMPLES] if find_spec("skimage") else []


def _small(image: RgbImage) -> RgbImage:
    scale = LONGEST / max(image.size)
    if scale >= 1:
        return image
    size: Size = (max(1, round(image.size[0] * scale)), max(1, round(image.size[1] * scale)))
    return RgbImage(resize(image.pixels, size), image.name)
