"""PASCAL VOC 2012: palette label maps, ignored borders, with and without the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import FolderContract
from tests.data.sets.voc_folder import write_voc
from wordmask.contracts import Dataset
from wordmask.data.sample import UNKNOWN
from wordmask.data.sets.pascal_splits import CLASSES
from wordmask.data.sets.voc import NAMES, pascal_voc
from wordmask.errors import DataError


def labels() -> dict[str, np.ndarray]:
    """An aeroplane (1) beside a person (15) with a border of unknown pixels, and an image of background alone."""
    both = np.zeros((6, 8), dtype=int)
    both[1:3, 1:4] = 1
    both[3:6, 4:8] = 15
    both[0, :] = 255
    return {"2007_000032": both, "2008_000001": np.zeros((5, 4), dtype=int)}


class TestVoc2012(FolderContract):
    annotations = ("SegmentationClass/2007_000032.png",)
    images = "JPEGImages/*.jpg"
    options: ClassVar[dict[str, Any]] = {"background": False, "name": "mine"}
    malformed = (
        ("ImageSets/Segmentation/val.txt", None),
        ("ImageSets/Segmentation/val.txt", b"\n\n"),
        ("ImageSets/Segmentation/val.txt", b"2007_000032\n2007_000032\n"),
        ("SegmentationClass/2007_000032.png", None),
        ("SegmentationClass/2007_000032.png", b"no image"),
        ("JPEGImages/2008_000001.jpg", None),
        ("JPEGImages/2008_000001.jpg", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_voc(tmp_path, labels())

    def build(self, folder: Path, **options: Any) -> Dataset:
        return pascal_voc(folder, **options)

    def test_a_label_map_becomes_queries(self, dataset: Dataset) -> None:
        sample = dataset[0]
        assert (dataset.name, dataset.split, len(dataset)) == ("voc2012", "val", 2)
        assert (sample.key, sample.size) == ("2007_000032", (6, 8))
        assert [query.label for query in sample.queries] == ["background", "aeroplane", "person"]
        assert [query.packed.area for query in sample.queries] == [40 - 6 - 12, 6, 12]
        assert sample.queries[1].packed.window == (1, 1, 4, 3)
        assert sample.ignored is not None
        assert sample.ignored.window == (0, 0, 8, 1)
        assert sample.labels is not None
        assert sample.labels[0].tolist() == [UNKNOWN] * 8
        assert sample.labels[3].tolist() == [0, 0, 0, 0, 15, 15, 15, 15]

    def test_what_is_not_in_an_image_is_absent(self, dataset: Dataset) -> None:
        assert dataset[0].absent == tuple(name for name in CLASSES if name not in ("aeroplane", "person"))
        assert dataset[1].absent == CLASSES
        assert dataset[1].ignored is None

    def test_names_are_the_21_in_the_order_of_the_labels(self, dataset: Dataset) -> None:
        assert dataset.names == ("background", *CLASSES)
        assert (NAMES[1], NAMES[15], NAMES[20]) == ("aeroplane", "person", "tvmonitor")

    def test_the_background_may_have_no_name(self, folder: Path) -> None:
        sample = pascal_voc(folder, background=False)[0]
        assert [query.label for query in sample.queries] == ["aeroplane", "person"]
        assert sample.labels is not None
        assert sample.labels[3].tolist() == [UNKNOWN] * 4 + [14] * 4
        assert sample.ignored is not None
        assert sample.ignored.area == 8  # the border alone: the background counts against a mask on it

    @pytest.mark.parametrize("part", ["", "..", "../.."])
    def test_the_folder_above_will_do(self, folder: Path, part: str) -> None:
        assert pascal_voc(folder / part)[0].key == "2007_000032"

    def test_values_beyond_the_classes_are_refused(self, tmp_path: Path) -> None:
        root = write_voc(tmp_path, {"2007_000032": np.full((4, 4), 21)})
        with pytest.raises(DataError, match=r"2007_000032\.png.*the value 21"):
            pascal_voc(root)[0]

    def test_an_image_of_another_size_is_refused(self, folder: Path) -> None:
        (folder / "JPEGImages/2008_000001.jpg").write_bytes((folder / "JPEGImages/2007_000032.jpg").read_bytes())
        with pytest.raises(DataError, match=r"2008_000001\.jpg.*6 x 8.*5 x 4"):
            pascal_voc(folder)[1]

    def test_a_split_without_a_list_is_named(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"trainval\.txt"):
            pascal_voc(folder, split="trainval")
        with pytest.raises(DataError, match="train, val, trainval"):
            pascal_voc(folder, split="test")
