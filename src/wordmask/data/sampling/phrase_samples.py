"""Tasks for `wordmask.data.sampling.phrase_draws` from the phrases of any data set.

Every query of every sample whose mask is not empty is a task; those whose mask is empty are known to be absent, as are
the sample's absent names. A sample is read again whenever one of its tasks is drawn: nothing but words is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.data.reading import fingerprint
from wordmask.data.sampling.phrase_draws import TaskImage
from wordmask.images import load_image
from wordmask.prompts import MixedPrompt, TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Query, Sample

__all__ = ["PhraseList", "SamplePhrases", "SampleTask", "phrase_of_query"]


@dataclass(frozen=True, slots=True)
class SampleTask:
    """One query of one sample.

    Attributes:
        key: The sample's key and the query's number.
        sample: Index of the sample.
        query: Number of the query in it.
        phrase: The words.
    """

    key: str
    sample: int
    query: int
    phrase: TextPrompt


@dataclass(frozen=True, slots=True)
class PhraseList:
    """The words of a sample.

    Attributes:
        key: The sample's.
        present: Number and phrase of every query whose object is there.
        absent: Phrases of objects that are not.
    """

    key: str
    present: tuple[tuple[int, str], ...]
    absent: tuple[str, ...]

    @classmethod
    def of(cls, sample: Sample) -> PhraseList:
        """List a sample's words; a query without words is called by its label."""
        named = [(number, phrase_of_query(query), query.packed.area) for number, query in enumerate(sample.queries)]
        there = tuple((number, phrase) for number, phrase, area in named if area)
        missing = (phrase for _, phrase, area in named if not area)
        known = {phrase for _, phrase in there}
        return cls(sample.key, there, tuple(n for n in dict.fromkeys((*missing, *sample.absent)) if n not in known))


class SamplePhrases:
    """A `PhraseSource` over a data set.

    Args:
        dataset: The data set.
        indices: Samples to take; None = all.
        listed: Their words by index, where they were listed already; others are read now.

    Raises:
        DataError: If a sample that must be read is damaged.
    """

    def __init__(
        self, dataset: Dataset, indices: Iterable[int] | None = None, *, listed: Mapping[int, PhraseList] | None = None
    ) -> None:
        self._dataset, self.name, self.split = dataset, dataset.name, dataset.split
        known = listed or {}
        self._samples: dict[int, PhraseList] = {}
        for index in range(len(dataset)) if indices is None else indices:
            self._samples[index] = known[index] if index in known else PhraseList.of(dataset[index])
        self.tasks = [
            SampleTask(f"{words.key}/{number}", index, number, TextPrompt(phrase))
            for index, words in self._samples.items()
            for number, phrase in words.present
        ]

    @property
    def fingerprint(self) -> str:
        """Short hash of the data set and of which samples are taken."""
        return fingerprint((), base=self._dataset.fingerprint, samples=list(self._samples))

    def read(self, task: SampleTask) -> TaskImage:
        """Read a task's image and mask; no other mask of the sample is unpacked.

        Raises:
            DataError, ImageError: If a file is missing or damaged.
        """
        sample = self._dataset[task.sample]
        known = None if sample.ignored is None else ~sample.ignored.full()
        return TaskImage(load_image(sample.image).pixels, sample.queries[task.query].mask, known)

    def present(self, task: SampleTask) -> frozenset[str]:
        """Return all phrases of the task's image."""
        return frozenset(phrase for _, phrase in self._samples[task.sample].present)

    def absent(self, task: SampleTask) -> tuple[str, ...]:
        """Return what the task's image is known not to show."""
        return self._samples[task.sample].absent


def phrase_of_query(query: Query) -> str:
    """Return the words that a query asks for; its label where there are none."""
    prompt = query.prompt.phrase if isinstance(query.prompt, MixedPrompt) else query.prompt
    return prompt.text if isinstance(prompt, TextPrompt) else query.label
