"""Several folds concatenated to one data set."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample

__all__ = ["Folds", "joined"]


class Folds:
    """Data sets one after the other, each with names of its own.

    Attributes:
        name: That of the first.
        split: "all".
        names: All names, fold by fold.
        exhaustive: False.
        folds: Name -> split of its fold.
        fingerprint: Depends on that of every fold.
    """

    split = "all"

    def __init__(self, folds: Sequence[Dataset]) -> None:
        self._datasets = tuple(folds)
        self.name = folds[0].name
        self.names = tuple(name for fold in folds for name in fold.names)
        self.exhaustive = False  # a name of one fold is not looked for in another
        self.folds = {name: fold.split for fold in folds for name in fold.names}
        self.fingerprint = hashlib.sha256(" ".join(fold.fingerprint for fold in folds).encode()).hexdigest()[:16]
        self._ends = list(accumulate(len(fold) for fold in folds))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Return a sample; its key begins with its fold.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        place = bisect_right(self._ends, index)
        fold = self._datasets[place]
        sample = fold[index - (self._ends[place] - len(fold))]
        return replace(sample, key=f"{fold.split}/{sample.key}")


def joined(folds: Sequence[Dataset]) -> Dataset:
    """Return one data set over all folds; a single fold as it is."""
    return Folds(folds) if len(folds) > 1 else folds[0]
