"""Images with boxes, names and captions but no masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import FolderContract, write_image
from wordmask.contracts import Dataset
from wordmask.data.registry import open_data, splits_of
from wordmask.data.weak_labels import (
    VOCABULARIES,
    WeakLabels,
    read_weak_annotations,
)
from wordmask.errors import DataError
from wordmask.training.inspection import inspect

PLACES = [folder / "shared" / "data" for folder in Path(__file__).parents[2:4]]
DATA = next((place for place in PLACES if place.is_dir()), PLACES[0])
RECORDS: dict[str, Any] = {
    "a": {
        "size": [6, 4],
        "boxes": [["dog", 0.4, 1, 2.5, 3], ["cat", 4, 0, 9, 2], ["dog", 5, 3, 5, 3]],
        "exhaustive_boxes_for": ["dog", "cat", "cow"],
        "labels": ["dog", "cat", "lawn"],
        "captions": ["A dog and a cat.", "Pets."],
    },
    "b": {"size": [6, 4], "captions": ["Nothing much."]},
    "c": {"size": [6, 4], "boxes": [["sofa", 0, 0, 6, 4]], "exhaustive_boxes_for": "voc20"},
}


def write_weak(root: Path, records: dict[str, Any] = RECORDS) -> Path:
    for key in "abc":
        write_image(root / "images" / f"{key}.jpg", (4, 6))
    (root / "weak.json").write_text(json.dumps(records))
    return root


def changed(**fields: Any) -> bytes:
    return json.dumps({"a": RECORDS["a"] | fields}).encode()


class TestWeakLabels(FolderContract):
    annotations = ("weak.json",)
    images = "images/*.jpg"
    options: ClassVar[dict[str, Any]] = {"keys": ("b", "a"), "vocabulary": "voc20", "name": "mine"}
    malformed = (
        ("weak.json", None),
        ("weak.json", b"[]"),
        ("weak.json", b"{}"),
        ("weak.json", changed(size=[6])),
        ("weak.json", changed(size=[0, 4])),
        ("weak.json", changed(boxes=[["dog", 1, 2, 3]])),
        ("weak.json", changed(boxes=[["dog", 1, 2, 3, None]])),
        ("weak.json", changed(boxes=[["dog", 5, 2, 3, 3]])),
        ("weak.json", changed(exhaustive_boxes_for="coco")),
        ("weak.json", changed(labels="dog")),
        ("images/a.jpg", None),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_weak(tmp_path / "weak")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return WeakLabels(folder / "weak.json", folder / "images", **options)


@pytest.fixture
def dataset(tmp_path: Path) -> WeakLabels:
    write_weak(tmp_path)
    return WeakLabels(tmp_path / "weak.json", tmp_path / "images")


def test_boxes_become_instances_without_masks(dataset: WeakLabels) -> None:
    sample = dataset[0]
    assert (sample.key, sample.size, sample.absent) == ("a", (4, 6), ("cow",))
    dog, cat = sample.queries
    assert [(one.mask, one.box) for one in dog.instances] == [(None, (0.4, 1, 2.5, 3)), (None, (5, 3, 5, 3))]
    assert dog.boxes_only
    assert np.argwhere(dog.mask).tolist() == [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2], [3, 5]]
    assert [one.box for one in cat.instances] == [(4, 0, 6, 2)]  # cut at the border


def test_images_without_boxes_ask_for_nothing(dataset: WeakLabels) -> None:
    sample = dataset[1]
    assert (sample.queries, sample.absent) == ((), ())
    assert dataset.annotation(1).captions == ("Nothing much.",)


def test_names_of_the_whole_image_and_captions_are_kept(dataset: WeakLabels) -> None:
    one = dataset.annotation(0)
    assert (one.names, one.absent) == (("dog", "cat", "lawn"), ("cow",))
    assert one.captions == ("A dog and a cat.", "Pets.")


def test_vocabularies(dataset: WeakLabels) -> None:
    assert dataset.names[:3] == ("dog", "cat", "cow")
    assert not dataset.exhaustive
    assert {name: len(words) for name, words in VOCABULARIES.items()} == {"coco80": 80, "voc20": 20}
    assert len(dataset[2].absent) == 19


def test_a_folder_is_opened_by_part_and_vocabulary(tmp_path: Path) -> None:
    folder = write_weak(tmp_path / "weak")
    (folder / "splits.json").write_text(json.dumps({"train": ["c", "b"], "val": ["a"]}))
    assert splits_of(folder) == ("train", "val", "train-coco80", "train-voc20", "val-coco80", "val-voc20")
    assert [sample.key for sample in map(open_data(folder, split="train").__getitem__, (0, 1))] == ["c", "b"]
    narrow = open_data(folder, split="train-voc20")
    assert (narrow.name, narrow.split, len(narrow), narrow.exhaustive) == ("weak", "train-voc20", 1, True)
    with pytest.raises(DataError, match="no image that is asked for"):
        open_data(folder, split="val-coco80")
    with pytest.raises(DataError, match="the split of weak 'test'"):
        open_data(folder, split="test")


def test_boxes_are_not_trained_on_as_masks(dataset: WeakLabels) -> None:
    found = inspect(dataset)
    assert found.usable == ()
    assert found.problems[0].startswith("Got boxes of 'dog' without masks in 'a', expected masks: ")


def test_several_sets_in_one_file(tmp_path: Path) -> None:
    write_weak(tmp_path)
    (tmp_path / "pack.json").write_text(json.dumps({"pets": RECORDS, "other": {}}))
    assert read_weak_annotations(tmp_path / "pack.json", section="pets").keys() == RECORDS.keys()
    assert len(WeakLabels(tmp_path / "pack.json", tmp_path / "images", section="pets", keys=["c"])) == 1
    with pytest.raises(DataError, match="no field 'toys'"):
        read_weak_annotations(tmp_path / "pack.json", section="toys")
    with pytest.raises(DataError, match="no image 'z' in"):
        WeakLabels(tmp_path / "pack.json", tmp_path / "images", section="pets", keys=["z"])


@pytest.mark.skipif(not (DATA / "everyday").is_dir(), reason="the data folder is not beside the repository")
def test_the_real_photographs_are_read() -> None:
    found = {split: open_data(DATA / "everyday", split=split) for split in ("val", "val-voc20", "val-coco80")}
    assert {split: (len(one), one.exhaustive) for split, one in found.items()} == {
        "val": (183, False), "val-voc20": (57, True), "val-coco80": (59, True),
    }  # fmt: skip
    people = WeakLabels(DATA / "pack_boxes.json", DATA / "people" / "images", section="people")
    assert (len(people), people.exhaustive) == (510, True)
    checked = 0
    for one in (*found.values(), people):
        for index in range(0, len(one), len(one) // 4):
            sample = one[index]
            checked += len(sample.queries)
            assert all(query.boxes_only and query.packed.area for query in sample.queries)
    print(f"{checked} names")
    assert checked >= 10
