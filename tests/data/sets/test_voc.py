"""PASCAL VOC 2012: palette label maps, ignored borders, and the classes that zero-shot training must not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import FolderContract
from tests.data.sets.voc_folder import write_voc
from wordmask.data.sample import UNKNOWN
from wordmask.data.sets.pascal_splits import CLASSES, PROMPT_NAMES
from wordmask.data.sets.voc import NAMES, PascalVoc
from wordmask.errors import DataError


def labels() -> dict[str, np.ndarray]:
    """An aeroplane (1) beside a person (15) with a border of unknown pixels, and an image of background alone."""
    both = np.zeros((6, 8), dtype=int)
    both[1:3, 1:4] = 1
    both[3:6, 4:8] = 15
    both[0, :] = 255
    return {"2007_000032": both, "2008_000001": np.zeros((5, 4), dtype=int)}


class TestPascalVoc(FolderContract):
    annotations = ("SegmentationClass/2007_000032.png", "ImageSets/Segmentation/val.txt")
    images = "JPEGImages/*.jpg"
    options: ClassVar[dict[str, Any]] = {"unseen": 4, "words": PROMPT_NAMES}
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

    def build(self, folder: Path, **options: Any) -> PascalVoc:
        return PascalVoc(folder, **options)

    def test_a_label_map_becomes_queries(self, dataset: PascalVoc) -> None:
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

    def test_what_is_not_in_a_image_is_absent(self, dataset: PascalVoc) -> None:
        assert dataset[0].absent == tuple(name for name in CLASSES if name not in ("aeroplane", "person"))
        assert dataset[1].absent == CLASSES
        assert dataset[1].ignored is None

    def test_names_are_the_21_in_the_order_of_the_labels(self, dataset: PascalVoc) -> None:
        assert dataset.names == ("background", *CLASSES)
        assert (NAMES[1], NAMES[15], NAMES[20]) == ("aeroplane", "person", "tvmonitor")

    def test_words_stand_in_for_names(self, folder: Path) -> None:
        query = PascalVoc(folder, words=PROMPT_NAMES)[0].queries[1]
        assert (query.prompt.name, query.label) == ("airplane", "aeroplane")

    @pytest.mark.parametrize("part", ["", "..", "../.."])
    def test_the_folder_above_will_do(self, folder: Path, part: str) -> None:
        assert PascalVoc(folder / part)[0].key == "2007_000032"

    def test_values_beyond_the_classes_are_refused(self, tmp_path: Path) -> None:
        root = write_voc(tmp_path, {"2007_000032": np.full((4, 4), 21)})
        with pytest.raises(DataError, match=r"2007_000032\.png.*the value 21"):
            PascalVoc(root)[0]

    def test_a_image_of_another_size_is_refused(self, folder: Path) -> None:
        (folder / "JPEGImages/2008_000001.jpg").write_bytes((folder / "JPEGImages/2007_000032.jpg").read_bytes())
        with pytest.raises(DataError, match=r"2008_000001\.jpg.*6 x 8.*5 x 4"):
            PascalVoc(folder)[1]

    def test_a_split_without_a_list_is_named(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"trainval\.txt"):
            PascalVoc(folder, split="trainval")
        with pytest.raises(DataError, match="train, val, trainval"):
            PascalVoc(folder, split="test")


def test_unseen_classes_are_held_out_by_their_number(tmp_path: Path) -> None:
    root = write_voc(tmp_path, labels())
    four = PascalVoc(root, unseen=4)
    assert four.unseen == {"cow", "motorbike", "aeroplane", "sofa"}
    assert len(four.seen) == 17
    assert four.seen | four.unseen == set(NAMES)
    assert PascalVoc(root, unseen=5).unseen == {"pottedplant", "sheep", "sofa", "train", "tvmonitor"}
    assert PascalVoc(root).seen == set(NAMES)
    with pytest.raises(DataError, match="2, 4, 5, 6, 8, 10"):
        PascalVoc(root, unseen=3)
