"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.contract import write_labels, write_picture
from wordmask.contracts import Dataset
from wordmask.data.catalogue import DATASETS, FOLDERLESS, open_dataset
from wordmask.errors import DataError


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - FOLDERLESS))
def test_every_name_opens_a_reader_that_misses_its_folder(name: str, tmp_path: Path) -> None:
    split = "test" if name.startswith(("phrasecut", "celebamask")) else "val"
    with pytest.raises(DataError, match=r"no-such-folder.*, expected .+: .+\."):
        open_dataset(name, tmp_path / "no-such-folder", split)


@pytest.mark.parametrize("name", sorted(FOLDERLESS))
def test_sets_made_on_the_fly_need_no_folder(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, tmp_path / "no-such-folder", "test")
    assert isinstance(dataset, Dataset)
    assert len(dataset[0].queries) > 0


def test_a_folder_and_a_split_are_handed_on(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "training" / "a.jpg", (1, 2))
    write_labels(tmp_path / "annotations" / "training" / "a.png", [[1, 150]])
    dataset = open_dataset("ade20k-150", tmp_path, "train")
    assert (dataset.name, dataset.split, len(dataset)) == ("ade20k-150", "train", 1)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the data set 'voc2013', expected one of ade20k-150, .*voc: choose one"):
        open_dataset("voc2013", tmp_path, "val")
