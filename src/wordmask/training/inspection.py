"""Read every sample once before a training starts, to say what is wrong with its file and line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wordmask.data.sampling.phrase_samples import PhraseList
from wordmask.errors import DataError, TrainingError, WordmaskError, quote, sentence
from wordmask.images import load_image
from wordmask.prompts import MixedPrompt, TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample

__all__ = ["Inspected", "InstanceCounts", "inspect", "phrase_of"]


class InstanceCounts(NamedTuple):
    """How many instances there are.

    Attributes:
        masks: Instances with masks; a mask whose instances are not told apart counts as one.
        boxes: Instances with boxes alone.
    """

    masks: int = 0
    boxes: int = 0

    @classmethod
    def of(cls, sample: Sample) -> InstanceCounts:
        """Return those of a sample; crowds do not count."""
        masks = boxes = 0
        for query in sample.queries:
            number = sum(not one.crowd for one in query.instances)
            boxes += number if query.boxes_only else 0
            masks += 0 if query.boxes_only else max(number, 1)
        return cls(masks, boxes)

    @classmethod
    def sum(cls, parts: Iterable[InstanceCounts]) -> InstanceCounts:
        """Return the counts over parts."""
        listed = list(parts)
        return cls(sum(part.masks for part in listed), sum(part.boxes for part in listed))


@dataclass(frozen=True)
class Inspected:
    """What an inspection found.

    Attributes:
        usable: Indices of the samples that can be trained on.
        problems: Sentences, each about one sample that cannot.
        phrases: Phrases of the usable samples, by index: nobody has to read them again for that.
        digests: A hash of the pixels of each of their images, by index.
        counts: How many instances each of them has, by index.
    """

    usable: tuple[int, ...]
    problems: tuple[str, ...]
    phrases: dict[int, PhraseList] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    counts: dict[int, InstanceCounts] = field(default_factory=dict)


def inspect(dataset: Dataset, indices: Iterable[int] | None = None, *, boxes: bool = False) -> Inspected:
    """Read samples and decode their images.

    Samples without queries and names that are known to be absent are left out silently: nothing is learned from them.

    Args:
        dataset: Whose samples.
        indices: Which; None = all.
        boxes: Whether boxes without masks are as good as masks; otherwise they are a problem.
    """
    problems, phrases, digests, counts = [], {}, {}, {}
    for index in range(len(dataset)) if indices is None else indices:
        try:
            sample = dataset[index]
            digest = _check(sample, boxes)
        except WordmaskError as error:
            problems.append(str(error))
            continue
        if sample.queries or sample.absent:
            phrases[index], digests[index] = PhraseList.of(sample), digest
            counts[index] = InstanceCounts.of(sample)
    return Inspected(tuple(phrases), tuple(problems), phrases, digests, counts)


def phrase_of(prompt: Any) -> str | None:
    """Return the words of a prompt; None for an example without words."""
    if isinstance(prompt, MixedPrompt):
        prompt = prompt.phrase
    return prompt.text if isinstance(prompt, TextPrompt) else None


def _check(sample: Sample, boxes: bool) -> str:
    """Check a sample, with boxes in place of masks if they are wanted, and return a hash of its image's pixels."""
    image = load_image(sample.image)
    if image.size != sample.size:
        got = f"an image of {image.size[0]} x {image.size[1]} px for {quote(sample.key)}"
        raise DataError(sentence(got, f"{sample.size[0]} x {sample.size[1]} px", "correct the image or its masks"))
    for query in sample.queries:
        if query.packed.size != sample.size:
            got = f"a mask of {query.packed.size[0]} x {query.packed.size[1]} px for {quote(query.label)}"
            expected = f"{sample.size[0]} x {sample.size[1]} px, as {quote(sample.key)} has"
            raise DataError(sentence(got, expected, "correct the mask"))
        if query.boxes_only and not boxes:
            got = f"boxes of {quote(query.label)} without masks in {quote(sample.key)}"
            raise DataError(sentence(got, "masks", "choose data with masks: boxes alone train no mask here"))
        if phrase_of(query.prompt) is None:
            got = f"an example without words in {quote(sample.key)}"
            raise TrainingError(sentence(got, "phrases", "choose a data set that asks by words"))
    return hashlib.blake2b(np.ascontiguousarray(image.pixels).data, digest_size=16).hexdigest()
