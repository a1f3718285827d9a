"""Ask the phrases of an ontology: which questions there are, which lack an answer, and the answers of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.annotate.records import Question, answer_of
from wordmask.prompts import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.annotate.journal import Journal
    from wordmask.annotate.models import JobModel
    from wordmask.annotate.ontology import Ontology
    from wordmask.annotate.reading import LoadedImage
    from wordmask.annotate.records import Answer
    from wordmask.contracts import Encoded
    from wordmask.images import RgbImage

__all__ = ["Asker", "Plan"]

PIXELS_AT_ONCE = 50_000_000
"""Images are encoded together until they have this many pixels."""


@dataclass(frozen=True)
class Plan:
    """The questions of a job.

    Attributes:
        ontology: Classes and phrases.
        questions: Each different question once, by key.
        of_class: Keys of each class's questions, in the order of the classes.
        presence: For each key, the presence threshold that its class wants; None for the model's.
        default_presence: The model's own threshold; None where it is not known yet.
        joint: Whether answers depend on all phrases of a call.
    """

    ontology: Ontology
    questions: dict[str, Question]
    of_class: tuple[tuple[str, ...], ...]
    presence: dict[str, float | None]
    default_presence: float | None
    joint: bool

    @classmethod
    def of(cls, ontology: Ontology, model: JobModel, journal: Journal) -> Plan:
        """Make the questions and keep them in the journal."""
        facts = model.facts(journal)
        vocabulary = tuple(phrase for one in ontology.concepts for phrase in one.phrases) if facts["joint"] else ()
        questions: dict[str, Question] = {}
        presence: dict[str, float | None] = {}
        of_class = []
        for concept in ontology.concepts:
            keys = []
            for prompt in concept.prompts:
                question = Question(prompt.text, prompt.negatives, model.fingerprint, concept.threshold, vocabulary)
                questions[question.key] = question
                presence[question.key] = _lower(presence.get(question.key, concept.presence), concept.presence)
                keys.append(question.key)
            of_class.append(tuple(dict.fromkeys(keys)))
        journal.add_questions(questions.values())
        return cls(ontology, questions, tuple(of_class), presence, facts["presence"], facts["joint"])

    def missing(self, journal: Journal, content: str, *, skip: bool = False) -> list[str]:
        """Return the keys of the questions about a content that lack an answer.

        Args:
            journal: Where answers are.
            content: SHA-256 of a file.
            skip: Whether any earlier answer to a phrase will do, whatever the model and the settings.
        """
        known = journal.presences(content)
        missing = [key for key in self.questions if not self._is_answered(key, known)]
        if skip and missing:
            missing = [
                key for key in missing if not known.keys() & set(journal.questions_about(self.questions[key].phrase))
            ]
        return list(self.questions) if missing and self.joint else missing

    def _is_answered(self, key: str, known: dict[str, tuple[float, float]]) -> bool:
        if key not in known:
            return False
        presence, floor = known[key]
        wanted = self.default_presence if self.presence[key] is None else self.presence[key]
        return wanted is None or floor <= round(wanted, 6) or presence < wanted

    def merged_classes(
        self, before: Sequence[dict[str, Any]], names: Iterable[str], journal: Journal, *, skip: bool = False
    ) -> list[dict[str, Any]]:
        """Return the classes of the journal: those before, in their order, with the phrases of this job.

        A phrase that a class had already is renewed: its earlier answers, by another model or with another threshold,
        no longer count, unless `skip` says that they will do.

        Args:
            before: Classes of earlier jobs.
            names: Classes of labels that were there already.
            journal: Where earlier questions are.
            skip: Whether earlier answers to the same phrase count.
        """
        merged = {fold_phrase(one["name"]): one for one in before}
        for name in names:
            merged.setdefault(fold_phrase(name), {"name": name, "questions": [], "presence": None})
        for concept, keys in zip(self.ontology.concepts, self.of_class, strict=True):
            phrases = {self.questions[key].phrase for key in keys}
            earlier = merged.get(fold_phrase(concept.name), {"name": concept.name, "questions": []})
            asked = {key: journal.question(key) for key in earlier["questions"]}
            kept = [key for key, one in asked.items() if skip or (one is not None and one.phrase not in phrases)]
            questions = list(dict.fromkeys((*kept, *keys)))
            entry = {"name": earlier["name"], "questions": questions, "presence": concept.presence}
            merged[fold_phrase(concept.name)] = entry
        return list(merged.values())


def _lower(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else min(first, second)


class Asker:
    """Answers questions about images with a model, encoding each image once.

    Args:
        plan: The questions.
        model: Loaded at the first image.

    Attributes:
        presence: The model's own presence threshold, once an answer told it.
    """

    def __init__(self, plan: Plan, model: JobModel) -> None:
        self.plan, self._model = plan, model
        self.presence: float | None = plan.default_presence

    @property
    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        return self._model.is_loaded

    def prepare(self) -> None:
        """Load the model."""
        _ = self._model.segmenter

    def tell(self, journal: Journal) -> None:
        """Keep the model's own presence threshold in the journal, so that the next run need not load it."""
        if self.presence is not None:
            known = journal.method(self._model.fingerprint)
            if known is not None and known[1] is None:
                journal.add_method(self._model.fingerprint, known[0], presence=self.presence, joint=known[2])

    def find(self, data: bytes, content: str, uri: str) -> Encoded | None:
        """Return the cached features of a file; None where there are none."""
        find = getattr(self._model.segmenter, "find", None) if self._model.is_loaded else None
        found: Encoded | None = find(data, content, path=uri) if callable(find) else None
        return found

    def answer(self, wanted: Sequence[tuple[LoadedImage, list[str]]]) -> dict[str, tuple[Answer, ...]]:
        """Return the answers by content.

        Args:
            wanted: Images of different content, each with the keys of its questions.
        """
        answers: dict[str, tuple[Answer, ...]] = {}
        for group in _groups(wanted):
            encoded = self._encode([one for one, _ in group])
            for (one, keys), features in zip(group, encoded, strict=True):
                answers[one.content] = self._answers(features, keys)
        return answers

    def _encode(self, loaded: Sequence[LoadedImage]) -> list[Encoded]:
        """Features of all images; those that were not cached are computed together where the segmenter can."""
        missing = [one for one in loaded if one.encoded is None]
        images = [one.image for one in missing if one.image is not None]
        computed = iter(self._computed(images, [one.content for one in missing]))
        return [next(computed) if one.encoded is None else one.encoded for one in loaded]

    def _computed(self, images: list[RgbImage], contents: list[str]) -> list[Encoded]:
        segmenter: Any = self._model.segmenter
        if hasattr(segmenter, "find"):  # a `CachedSegmenter`, which is not imported here: that would load torch
            return list(segmenter.encode_many(images, contents))
        together = getattr(segmenter, "encode_many", None)
        return list(together(images)) if callable(together) else [segmenter.encode(image) for image in images]

    def _answers(self, encoded: Encoded, keys: Sequence[str]) -> tuple[Answer, ...]:
        by_thresholds: dict[tuple[float | None, float | None], list[str]] = {}
        for key in keys:
            wanted = (self.plan.questions[key].threshold, self.plan.presence[key])
            by_thresholds.setdefault(wanted, []).append(key)
        answers: dict[str, Answer] = {}
        for (threshold, presence), group in by_thresholds.items():
            prompts = [self.plan.questions[key].prompt for key in group]
            result = self._model.segmenter.segment(encoded, prompts, threshold=threshold, presence_threshold=presence)
            answers |= {key: answer_of(key, found) for key, found in zip(group, result.founds, strict=True)}
            if presence is None:
                self.presence = answers[group[0]].floor
        return tuple(answers[key] for key in keys)


def _groups(wanted: Sequence[tuple[LoadedImage, list[str]]]) -> list[list[tuple[LoadedImage, list[str]]]]:
    """Split a batch so that no part has many more pixels than `PIXELS_AT_ONCE`."""
    groups: list[list[tuple[LoadedImage, list[str]]]] = []
    pixels = math.inf
    for one, keys in wanted:
        if pixels >= PIXELS_AT_ONCE:
            groups.append([])
            pixels = 0
        groups[-1].append((one, keys))
        pixels += math.prod(one.image.size) if one.image is not None else 0
    return groups
