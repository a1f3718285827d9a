"""COCO-Stuff's 171 names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.data.contract import FolderContract, write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.sets.coco_stuff import NAMES, REMOVED, VALUES, coco_stuff
from wordmask.errors import DataError

PERSON, TRAFFIC_LIGHT, STOP_SIGN, TOOTHBRUSH, BANNER, WOOD, UNLABELLED = 0, 9, 12, 89, 91, 181, 255


def write_set(root: Path, maps: str = "annotations") -> Path:
    for part in ("train2017", "val2017"):
        write_image(root / "images" / part / "000000000139.jpg", (2, 4))
        values = [[PERSON, TRAFFIC_LIGHT, STOP_SIGN, TOOTHBRUSH], [BANNER, WOOD, WOOD, UNLABELLED]]
        write_labels(root / maps / part / "000000000139.png", values)
    write_image(root / "images" / "val2017" / "000000000285.jpg", (1, 1))
    write_labels(root / maps / "val2017" / "000000000285.png", [[WOOD]])
    return root


class TestCocoStuff(FolderContract):
    annotations = ("annotations/val2017/000000000139.png",)
    images = "images/*/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "train"}
    malformed = (
        ("images/val2017/000000000139.jpg", None),
        ("annotations/val2017/000000000139.png", None),
        ("annotations/val2017/000000000139.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_set(tmp_path / "coco")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return coco_stuff(folder, **options)


def test_there_are_171_names_over_gaps() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(VALUES) == 171
    by_value = dict(zip(VALUES, NAMES, strict=True))
    known = {0: "person", 10: "fire hydrant", 12: "stop sign", 89: "toothbrush", 91: "banner", 156: "sky-other"}
    assert {value: by_value[value] for value in known} == known
    assert not {number - 1 for number in REMOVED} & by_value.keys()
    assert NAMES.index("banner") == 80


def test_labels_are_contiguous(tmp_path: Path) -> None:
    sample = coco_stuff(write_set(tmp_path))[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[0, 9, 11, 79], [80, 170, 170, -1]]
    assert [query.label for query in sample.queries] == [
        "person", "traffic light", "stop sign", "toothbrush", "banner", "wood"
    ]  # fmt: skip
    assert len(sample.absent) == 171 - 6
    assert sample.ignored is not None
    assert sample.ignored.area == 1


def test_the_other_place_for_label_maps(tmp_path: Path) -> None:
    assert len(coco_stuff(write_set(tmp_path, "stuffthingmaps"))) == 2


def test_a_name_that_was_taken_out_is_no_label(tmp_path: Path) -> None:
    root = write_set(tmp_path)
    write_labels(root / "annotations" / "val2017" / "000000000139.png", [[11]])  # street sign
    with pytest.raises(DataError, match=r"000000000139\.png' with the value 11"):
        coco_stuff(root)[0]


def test_missing_label_maps_and_unknown_splits(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "val2017" / "a.jpg")
    with pytest.raises(DataError, match=r"no folder '.*annotations/val2017' or 'stuffthingmaps/val2017'"):
        coco_stuff(tmp_path)
    with pytest.raises(DataError, match="the split of COCO-Stuff 'test', expected one of train, val"):
        coco_stuff(tmp_path, "test")
