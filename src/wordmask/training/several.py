"""Several data sets that are trained on together: opened by the same rules, with one name and one fingerprint."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.data.reading import require_index
from wordmask.errors import DataError, sentence
from wordmask.training.data import Subset
from wordmask.training.opening import open_training_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.training.data import DataChoice
    from wordmask.training.opening import Opened

__all__ = ["JoinedData", "distinct_names", "images_in_batch", "joint_fingerprint", "open_several"]


def open_several(
    choice: DataChoice, further: Iterable[str], *, validate: bool, holdout: float, limit: int, seed: int,
    skip_bad: bool, boxes: bool = False,
) -> list[Opened]:  # fmt: skip
    """Open the data that the user named and further sets; validation is on the first.

    Args:
        choice: The first set, and how all are read.
        further: Where the others are, in any shape that `DataChoice.path` takes.
        validate: Whether samples for validation are wanted.
        holdout: Part of the first set that is held out for it where there are no others; nothing of the further ones.
        limit: Most samples that a validation takes.
        seed: Of the choice of those that are held out.
        skip_bad: Whether what is wrong is left out; otherwise it is an error.
        boxes: Whether boxes without masks are trained on; otherwise something is wrong with them.

    Raises:
        DataError: If something is wrong, or nothing is left of one.
    """
    others = [replace(choice, path=Path(path), dataset=None, images=None, valid=None) for path in further]
    return [
        open_training_data(
            one, validate=validate and not place, holdout=holdout if not place else 0.0, limit=limit, seed=seed,
            skip_bad=skip_bad, boxes=boxes,
        )
        for place, one in enumerate([choice, *others])
    ]  # fmt: skip


class JoinedData:
    """The training samples of several data sets as one `contracts.Dataset`, those of the first set first.

    Args:
        opened: The sets.
    """

    def __init__(self, opened: Sequence[Opened]) -> None:
        self._parts = tuple(one.train for one in opened)
        self.sizes = tuple(len(part.indices) for part in self._parts)
        self._starts = (0, *accumulate(self.sizes))
        self.name = "+".join(distinct_names(opened))
        self.split, self.fingerprint = self._parts[0].dataset.split, joint_fingerprint(opened)
        self.names = tuple(dict.fromkeys(name for part in self._parts for name in part.dataset.names))
        self.exhaustive = False
        self.phrases: dict[int, PhraseList] = {
            start + place: one.phrases[index]
            for start, one in zip(self._starts, opened, strict=False)
            for place, index in enumerate(one.train.indices)
        }

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        require_index(index, len(self))
        part = bisect_right(self._starts, index) - 1
        chosen = self._parts[part]
        return chosen.dataset[chosen.indices[index - self._starts[part]]]

    def subset(self) -> Subset:
        """Return all of its samples."""
        data: Dataset = self
        return Subset(data, tuple(range(len(self))))


def distinct_names(opened: Sequence[Opened]) -> list[str]:
    """Return the names of sets, with their places where two are called the same."""
    names = [one.train.dataset.name for one in opened]
    return [name if names.count(name) == 1 else f"{name} {place}" for place, name in enumerate(names, start=1)]


def joint_fingerprint(opened: Sequence[Opened]) -> str:
    """Return the fingerprint of sets together: that of the set where there is one."""
    fingerprints = [one.train.dataset.fingerprint for one in opened]
    if len(fingerprints) == 1:
        return fingerprints[0]
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:16]


def images_in_batch(batch: int, weights: Sequence[float], sets: int) -> list[int]:
    """Return how many of a batch's images come from each set: in proportion to the weights, at least one of each.

    Raises:
        DataError: If there is not one weight above 0 for each set, or a batch has fewer images than there are sets.
    """
    if len(weights) != sets or min(weights) <= 0:
        got = f"weights={','.join(f'{weight:g}' for weight in weights)} for {sets} data sets"
        raise DataError(sentence(got, "a number above 0 for each, that of --data first", "change weights"))
    if batch < sets:
        raise DataError(sentence(f"a batch of {batch} for {sets} data sets", f"at least {sets}", "change batch"))
    exact = [1 + (batch - sets) * weight / sum(weights) for weight in weights]
    counts = [math.floor(value) for value in exact]
    for place in sorted(range(sets), key=lambda i: counts[i] - exact[i])[: batch - sum(counts)]:
        counts[place] += 1
    return counts
