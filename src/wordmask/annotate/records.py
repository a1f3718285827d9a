"""What a job stores about one image: plain values that become JSON, equal for equal answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.ops import masks
from wordmask.ops.rle import encode_packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordmask.prompts import TextPrompt
    from wordmask.results import Found

__all__ = ["Answer", "ImageRecord", "Question", "answer_of", "content_hash"]


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Question:
    """One phrase asked of one model.

    Attributes:
        phrase: What is asked.
        negatives: Phrases that it must not be confused with.
        method: Fingerprint of the model's files and of the settings that change its answers.
        threshold: Probability above which a pixel belongs to a mask; None takes the model's.
        vocabulary: All phrases of the call, for methods whose answers depend on them; () otherwise.
    """

    phrase: str
    negatives: tuple[str, ...]
    method: str
    threshold: float | None = None
    vocabulary: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Hash of everything that the answer depends on besides the image."""
        parts = [self.phrase, list(self.negatives), self.method, self.threshold, list(self.vocabulary)]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:24]

    @property
    def prompt(self) -> TextPrompt:
        """The phrase as a prompt."""
        from wordmask.prompts import TextPrompt

        return TextPrompt(self.phrase, negatives=self.negatives)


@dataclass(frozen=True)
class Answer:
    """The answer to one question about one image.

    Attributes:
        question: Key of the question.
        presence: Probability that the image shows the phrase.
        floor: Presence below which no mask was computed.
        objects: For each object `rle` (COCO's compressed counts), `bbox` (XYWH), `area`, `score` and `mask_score`.
        rest: Counts of the mask's pixels that belong to no object; None where there are none.
    """

    question: str
    presence: float
    floor: float
    objects: tuple[Mapping[str, Any], ...] = ()
    rest: str | None = None

    def serves(self, presence: float) -> bool:
        """Whether the answer holds what a presence threshold asks for."""
        return self.floor <= presence or self.presence < presence


@dataclass(frozen=True)
class ImageRecord:
    """One image of a job, done or refused.

    Attributes:
        uri: Where it is.
        signature: Changes when the file does.
        content: SHA-256 of the file; "" where it could not be read.
        size: `(H, W)` of the upright image; (0, 0) where it could not be read.
        error: Why it was refused; None where it is done.
        answers: New answers about its content.
    """

    uri: str
    signature: str
    content: str = ""
    size: tuple[int, int] = (0, 0)
    error: str | None = None
    answers: tuple[Answer, ...] = ()

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        answers = [[a.question, a.presence, a.floor, list(a.objects), a.rest] for a in self.answers]
        return json.dumps([self.uri, self.signature, self.content, list(self.size), self.error, answers])

    @classmethod
    def from_json(cls, text: str) -> ImageRecord:
        """Return the record in a line of JSON."""
        uri, signature, content, size, error, answers = json.loads(text)
        made = tuple(Answer(q, presence, floor, tuple(objects), rest) for q, presence, floor, objects, rest in answers)
        return cls(uri, signature, content, (size[0], size[1]), error, made)


def answer_of(question: str, found: Found) -> Answer:
    """Return what is stored of a result."""
    instances = found.instances
    objects = tuple(
        {
            "rle": encode_packed(one.packed)["counts"],
            "bbox": [int(v) for v in (one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1])],
            "area": one.area,
            "score": round(float(one.score), 6),
            "mask_score": None if one.mask_score is None else round(float(one.mask_score), 6),
        }
        for one in instances
    )
    rest = _rest(found, [one.packed for one in instances])
    return Answer(question, round(float(found.presence), 6), round(found.presence_threshold, 6), objects, rest)


def _rest(found: Found, parts: Sequence[masks.PackedMask]) -> str | None:
    """Run lengths of what is in the mask and in no object, such as specks of a dense method."""
    whole = found.packed
    inside = masks.union([masks.empty(found.size), *parts])
    if whole.area == inside.area:
        return None
    left, top, right, bottom = whole.window
    rest = whole.crop() & ~inside.full()[top:bottom, left:right]
    return encode_packed(masks.pack(rest, size=found.size, offset=(left, top)))["counts"] if rest.any() else None
