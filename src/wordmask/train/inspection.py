"""Every sample is read once before a training starts: what is wrong is said then, with its file and line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.data.problems import SHOWN, require_sound
from wordmask.errors import DataError, TrainingError, WordmaskError, quote, sentence
from wordmask.images import load_image
from wordmask.prompts import MixedPrompt, TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample

__all__ = ["SHOWN", "Inspected", "inspect", "phrase_of", "require_sound"]


@dataclass(frozen=True)
class Inspected:
    """What an inspection found.

    Attributes:
        usable: Indices of the samples that can be trained on.
        problems: Sentences, each about one sample or line that cannot.
    """

    usable: tuple[int, ...]
    problems: tuple[str, ...]


def inspect(dataset: Dataset, indices: Iterable[int] | None = None) -> Inspected:
    """Read samples, pictures decoded.

    Samples that ask for nothing and name nothing absent are left out without a word: there is nothing to learn there.
    """
    usable, problems = [], []
    for index in range(len(dataset)) if indices is None else indices:
        try:
            sample = dataset[index]
            _check(sample)
        except WordmaskError as error:
            problems.append(str(error))
            continue
        if sample.queries or sample.absent:
            usable.append(index)
    return Inspected(tuple(usable), tuple(problems))


def phrase_of(prompt: Any) -> str | None:
    """Return the words of a prompt; None for an example without words."""
    if isinstance(prompt, MixedPrompt):
        prompt = prompt.phrase
    return prompt.text if isinstance(prompt, TextPrompt) else None


def _check(sample: Sample) -> None:
    picture = load_image(sample.image)
    if picture.size != sample.size:
        got = f"a picture of {picture.size[0]} x {picture.size[1]} px for {quote(sample.key)}"
        raise DataError(sentence(got, f"{sample.size[0]} x {sample.size[1]} px", "correct the picture or its masks"))
    for query in sample.queries:
        if query.packed.size != sample.size:
            got = f"a mask of {query.packed.size[0]} x {query.packed.size[1]} px for {quote(query.label)}"
            expected = f"{sample.size[0]} x {sample.size[1]} px, as {quote(sample.key)} has"
            raise DataError(sentence(got, expected, "correct the mask"))
        if phrase_of(query.prompt) is None:
            got = f"an example without words in {quote(sample.key)}"
            raise TrainingError(sentence(got, "phrases", "choose a data set that asks by words"))
