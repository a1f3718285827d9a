"""Folds of a data set, one after the other."""

from __future__ import annotations

import pytest

from tests.evaluation.halves import Halves
from wordmask.contracts import Dataset
from wordmask.data.folds import Folds


def test_folds_are_one_data_set() -> None:
    class Fold(Halves):
        def __init__(self, number: int, split: str, names: tuple[str, ...]) -> None:
            super().__init__(number)
            self.split, self.names, self.fingerprint = split, names, split  # type: ignore[misc]

    folds = Folds([Fold(2, "fold0", ("a", "b")), Fold(3, "fold1", ("c",))])

    assert isinstance(folds, Dataset)
    assert [folds[place].key for place in range(len(folds))] == [
        "fold0/h00000", "fold0/h00001", "fold1/h00000", "fold1/h00001", "fold1/h00002",
    ]  # fmt: skip
    assert (folds.names, folds.folds) == (("a", "b", "c"), {"a": "fold0", "b": "fold0", "c": "fold1"})
    with pytest.raises(IndexError):
        folds[5]
