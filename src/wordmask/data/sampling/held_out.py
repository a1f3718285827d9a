"""Classes held out of training: groups of them by name, and a data set without their phrases."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from wordmask.data.reading import fingerprint
from wordmask.data.sampling.phrase_samples import phrase_of_query
from wordmask.data.sampling.phrases import ZERO_SHOT_GROUPS, pascal_fold_synsets, zero_shot_synsets
from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample
    from wordmask.data.sampling.phrases import ClassFilter

__all__ = ["GROUPS", "WithoutClasses", "expand"]

GROUPS: Mapping[str, tuple[str, ...]] = {
    **{f"pascal5i-{fold}": pascal_fold_synsets(fold) for fold in range(4)},
    **{f"zs{2 * count}": zero_shot_synsets(count) for count in range(1, len(ZERO_SHOT_GROUPS) + 1)},
}
"""Synsets by the name of their group: those tested in a fold of PASCAL-5i, and the 2 to 10 unseen classes of PASCAL
VOC's generalised zero-shot segmentation."""

_SYNSET = re.compile(r".+\.[nvars]\.\d+")


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Return synsets, each once, for names of synsets or of groups: ("zs2", "dog.n.01") gives three.

    Raises:
        DataError: If a name is neither a group's nor written like a synset.
    """
    found: dict[str, None] = {}
    for name in names:
        if name not in GROUPS and not _SYNSET.fullmatch(name):
            expected = f"a synset of WordNet such as 'sofa.n.01', or one of {', '.join(GROUPS)}"
            raise DataError(sentence(f"the class to avoid {quote(name)}", expected, "correct the name"))
        found |= dict.fromkeys(GROUPS.get(name, (name,)))
    return tuple(found)


class WithoutClasses:
    """A data set without the phrases that name some classes. Its samples stay, maybe with nothing to ask.

    Args:
        dataset: The data set.
        avoid: The synsets that are left out, for the fingerprint.
        keep: Tells which phrases stay.
    """

    def __init__(self, dataset: Dataset, avoid: Sequence[str], keep: ClassFilter) -> None:
        self._dataset, self._avoid, self._keep = dataset, tuple(avoid), keep
        self.name, self.split, self.names = dataset.name, dataset.split, dataset.names
        self.exhaustive = dataset.exhaustive

    @property
    def fingerprint(self) -> str:
        """Short hash of the data set and of what is left out."""
        return fingerprint((), base=self._dataset.fingerprint, avoid=self._avoid)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample without the classes' phrases.

        Raises:
            IndexError, DataError: As the data set does.
        """
        sample = self._dataset[index]
        queries = tuple(query for query in sample.queries if self._keep.keep(phrase_of_query(query)))
        return replace(sample, queries=queries, absent=tuple(n for n in sample.absent if self._keep.keep(n)))
