"""The labels of a job as exports read them: classes, objects and presences of one image after the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.annotate.given import given_object
from wordmask.annotate.objects import LabelledObject, merge_duplicates
from wordmask.prompts import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wordmask.annotate.journal import ImageRow, Journal

__all__ = ["Filters", "LabelledClass", "LabelledImage", "LabelledSet"]


@dataclass(frozen=True)
class Filters:
    """What of a journal is exported.

    Attributes:
        min_score: Lowest detection score of an object.
        min_mask_score: Lowest mask quality; objects whose quality was not estimated stay.
        presence: Presence thresholds by class that take the place of the ontology's.
    """

    min_score: float = 0.0
    min_mask_score: float = 0.0
    presence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledClass:
    """A class and where its answers are.

    Attributes:
        name: Its name.
        questions: Keys of its questions.
        presence: Presence below which it is absent; None: no mask was computed below the threshold of the answer.
    """

    name: str
    questions: tuple[str, ...]
    presence: float | None


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with its labels.

    Attributes:
        uri: Where it is.
        name: Its path from the common folder of all images, with `/`.
        content: SHA-256 of its file.
        size: `(H, W)`, upright.
        objects: Objects of all classes, in the order of the classes.
        presence: Presence of every class that was asked for, found or not.
        rest: By class, run lengths of pixels that belong to its mask and to no object.
    """

    uri: str
    name: str
    content: str
    size: tuple[int, int]
    objects: tuple[LabelledObject, ...]
    presence: Mapping[str, float]
    rest: Mapping[str, tuple[str, ...]]


class LabelledSet:
    """All images of a journal with their labels; images are read from the journal one by one, sorted by path.

    Args:
        journal: Of the job.
        filters: What of it counts; None takes those that the job kept.
        classes: Where answers are; None takes the classes that the job kept.
    """

    def __init__(
        self, journal: Journal, filters: Filters | None = None, *, classes: Sequence[LabelledClass] | None = None
    ) -> None:
        self.journal = journal
        self.filters = filters or read_filters(journal)
        kept = (
            LabelledClass(one["name"], tuple(one["questions"]), one.get("presence"))
            for one in json.loads(journal.meta("classes") or "[]")
        )
        self.classes = tuple(kept if classes is None else classes)
        self.root = _common_folder(row.uri for row in journal.images() if row.error is None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(one.name for one in self.classes)

    @property
    def licences(self) -> list[dict[str, Any]]:
        """COCO's `licenses` of the data sets that the images came from."""
        found: list[dict[str, Any]] = json.loads(self.journal.meta("licences") or "[]")
        return found

    def __len__(self) -> int:
        return sum(1 for _ in self._rows())

    def _rows(self) -> Iterator[ImageRow]:
        for row in self.journal.images():
            if row.error is None:
                yield row

    def __iter__(self) -> Iterator[LabelledImage]:
        return map(self.labelled, self._rows())

    def labelled(self, row: ImageRow) -> LabelledImage:
        """Return the labels of one image."""
        given = self.journal.given(row.uri)
        reviewed = any(origin == "reviewed" for _, _, origin in given)
        if reviewed:  # the labels of people are all that the image has
            given = [one for one in given if one[2] == "corrected"]
        objects: list[LabelledObject] = []
        presence: dict[str, float] = {}
        rest: dict[str, tuple[str, ...]] = {}
        for one in self.classes:
            own = [(record, origin) for name, record, origin in given if fold_phrase(name) == fold_phrase(one.name)]
            objects += [made for record, origin in own if (made := given_object(one.name, record, row.size, origin))]
            if reviewed:
                continue
            found, highest, specks = self._answers(one, row)
            objects += found
            if highest is not None:
                presence[one.name] = highest
            if specks:
                rest[one.name] = specks
        name = row.uri.removeprefix(self.root).lstrip("/")
        return LabelledImage(row.uri, name, row.content, row.size, tuple(objects), presence, rest)

    def _answers(self, one: LabelledClass, row: ImageRow) -> tuple[list[LabelledObject], float | None, tuple[str, ...]]:
        """Objects of a class, its highest presence, and specks; those of several phrases without duplicates."""
        objects: list[LabelledObject] = []
        highest: float | None = None
        specks: list[str] = []
        threshold = self.filters.presence.get(one.name, one.presence)
        for key in one.questions:
            answer = self.journal.answer(row.content, key)
            if answer is None:
                continue
            highest = max(answer.presence, highest or 0.0)
            if answer.presence < max(answer.floor, threshold or 0.0):
                continue
            objects += [
                LabelledObject.of_answer(one.name, about, row.size, answer.presence) for about in answer.objects
            ]
            specks += [answer.rest] if answer.rest else []
        objects = [made for made in objects if self._counts(made)]
        several = len(one.questions) > 1
        return (merge_duplicates(objects) if several else objects), highest, tuple(specks)

    def _counts(self, one: LabelledObject) -> bool:
        if (one.score or 0.0) < self.filters.min_score:
            return False
        return one.mask_score is None or one.mask_score >= self.filters.min_mask_score

    def presence_thresholds(self) -> dict[str, float]:
        """Return the presence threshold of every class that has one of its own or of its model's."""
        found = {}
        for one in self.classes:
            question = self.journal.question(one.questions[0]) if one.questions else None
            method = self.journal.method(question.method) if question else None
            cut = one.presence if one.presence is not None else method[1] if method else None
            if cut is not None:
                found[one.name] = self.filters.presence.get(one.name, cut)
        return found

    def is_reviewed(self, uri: str) -> bool:
        """Whether a person has looked at the labels of an image."""
        return any(origin == "reviewed" for _, _, origin in self.journal.given(uri))

    def difference_hash(self, content: str) -> int:
        """Return 64 bits that are alike for images that look alike; the file is read where they are not known.

        Raises:
            ImageError: If the file cannot be read.
        """
        known = self.journal.perceptual(content)
        if known is None:
            from wordmask.annotate.opening import open_source
            from wordmask.annotate.similar import difference_hash
            from wordmask.images import load_image

            row = next(row for row in self._rows() if row.content == content)
            known = difference_hash(load_image(open_source(row.uri).read()).pixels)
            self.journal.set_perceptual([(content, known)])
        return known

    def statistics(self) -> dict[str, Any]:
        """Return counts of images, negatives, copies and objects by class."""
        images = negatives = 0
        contents: set[str] = set()
        objects = dict.fromkeys(self.names, 0)
        for image in self:
            images += 1
            contents.add(image.content)
            negatives += not image.objects
            for one in image.objects:
                objects[one.name] += 1
        return {"images": images, "negatives": negatives, "copies": images - len(contents), "objects": objects}


def read_filters(journal: Journal) -> Filters:
    """Return the filters that a job kept in its journal."""
    kept = json.loads(journal.meta("filters") or "{}")
    return Filters(float(kept.get("min_score", 0.0)), float(kept.get("min_mask_score", 0.0)))


def _common_folder(uris: Iterator[str]) -> str:
    """The longest start of all uris that ends with a folder."""
    common: list[str] | None = None
    for uri in uris:
        parts = uri.split("/")[:-1]
        if common is None:
            common = parts
            continue
        same = next(
            (i for i, (a, b) in enumerate(zip(common, parts, strict=False)) if a != b), min(len(common), len(parts))
        )
        common = common[:same]
    return "/".join(common or [])


def class_mask(image: LabelledImage, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return bool `(H, W)`: everything of a class in an image, specks included."""
    from wordmask.ops.rle import decode

    mask = np.zeros(image.size, dtype=np.bool_)
    counts: Sequence[str] = [one.counts for one in image.objects if one.name == name]
    for text in (*counts, *image.rest.get(name, ())):
        mask |= decode({"size": list(image.size), "counts": text})
    return mask
