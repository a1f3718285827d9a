"""RefCOCO, RefCOCO+ and RefCOCOg: images with every sentence about every thing in them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract, samples
from tests.images import scene
from wordmask.data.sets.refer import PARTITIONS, Refer
from wordmask.errors import DataError

SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]  # x from 2 to 6, y from 1 to 5: 16 pixels
BAR = [0, 6, 10, 6, 10, 8, 0, 8]  # 20 pixels


def ref(number: int, image: int, thing: int, split: str, *sentences: str) -> dict[str, Any]:
    told = [
        {"sent_id": 10 * number + place, "sent": words.lower(), "raw": words, "tokens": words.split()}
        for place, words in enumerate(sentences)
    ]
    return {
        "ref_id": number, "image_id": image, "ann_id": thing, "category_id": 1, "split": split,
        "file_name": "COCO_train2014_x.jpg", "sent_ids": [one["sent_id"] for one in told], "sentences": told,
    }  # fmt: skip


REFS = [
    ref(0, 7, 70, "val", "Left Man", "man in red"),
    ref(1, 9, 90, "val", "the bar"),
    ref(2, 7, 71, "val", "everything"),
    ref(3, 9, 90, "testA", "bar A"),
    ref(4, 7, 72, "testB", "ring"),
    ref(5, 7, 70, "train", "man"),
]


def image(number: int) -> dict[str, Any]:
    return {"id": number, "height": 8, "width": 10, "file_name": f"COCO_train2014_{number:012d}.jpg"}


INSTANCES = {
    "images": [image(7), image(9), image(11)],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        {"id": 70, "image_id": 7, "category_id": 1, "segmentation": [SQUARE]},
        {"id": 71, "image_id": 7, "category_id": 1, "segmentation": [SQUARE, BAR]},
        {"id": 72, "image_id": 7, "category_id": 1, "segmentation": {"size": [8, 10], "counts": [9, 3, 68]}},
        {"id": 90, "image_id": 9, "category_id": 1, "segmentation": [BAR]},
    ],
}


def damaged(change: Any) -> bytes:
    content = json.loads(json.dumps(INSTANCES))
    change(content)
    return json.dumps(content).encode()


def damaged_refs(**fields: Any) -> bytes:
    return pickle.dumps([{**REFS[0], **fields}], protocol=2)


def write_refer(folder: Path) -> Path:
    """All three sets with all their partitions, two images."""
    images = folder / "images/mscoco/images/train2014"
    images.mkdir(parents=True)
    for number in (7, 9):
        Image.fromarray(scene(8, 10)).save(images / f"COCO_train2014_{number:012d}.jpg")
    for name, partitions in PARTITIONS.items():
        (folder / name).mkdir()
        (folder / name / "instances.json").write_text(json.dumps(INSTANCES))
        for partition in partitions:
            (folder / name / f"refs({partition}).p").write_bytes(pickle.dumps(REFS, protocol=2))
    return folder


class TestRefer(FolderContract):
    annotations = ("refcoco/refs(unc).p", "refcoco/instances.json")
    images = "images/mscoco/images/train2014/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "testA", "text": "raw"}
    malformed = (
        ("refcoco/refs(unc).p", None),
        ("refcoco/refs(unc).p", b"no pickle"),
        ("refcoco/refs(unc).p", pickle.dumps({})),
        ("refcoco/refs(unc).p", pickle.dumps([])),
        ("refcoco/refs(unc).p", pickle.dumps([3])),
        ("refcoco/refs(unc).p", damaged_refs(ann_id="70")),
        ("refcoco/refs(unc).p", damaged_refs(sentences=[{"sent_id": 1, "sent": "  "}])),
        ("refcoco/refs(unc).p", damaged_refs(sentences=[{"sent": "man"}])),
        ("refcoco/instances.json", None),
        ("refcoco/instances.json", b"{"),
        ("refcoco/instances.json", damaged(lambda content: content.pop("annotations"))),
        ("refcoco/instances.json", damaged(lambda content: content["images"].pop(0))),
        ("refcoco/instances.json", damaged(lambda content: content["annotations"].pop(0))),
        ("refcoco/instances.json", damaged(lambda content: content["annotations"][0].update(segmentation=[[1, 2]]))),
        ("refcoco/instances.json", damaged(lambda content: content["annotations"][0].update(segmentation=["ab"]))),
        ("refcoco/instances.json", damaged(lambda content: content["annotations"][0].update(segmentation=None))),
        ("images/mscoco/images/train2014/COCO_train2014_000000000009.jpg", None),
        ("images/mscoco/images/train2014/COCO_train2014_000000000007.jpg", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_refer(tmp_path / "data")

    def build(self, folder: Path, **options: Any) -> Refer:
        return Refer(folder, **options)

    def test_an_image_has_all_its_sentences(self, dataset: Refer) -> None:
        assert (dataset.name, dataset.split, dataset.partition, dataset.names) == ("refcoco", "val", "unc", ())
        first, second = samples(dataset)
        assert (first.key, first.size, second.key) == ("7", (8, 10), "9")
        assert [query.prompt.name for query in first.queries] == ["left man", "man in red", "everything"]
        assert [query.label for query in first.queries] == ["0/0", "0/1", "2/20"]
        assert [query.packed.area for query in first.queries] == [16, 16, 36]
        assert first.queries[0].packed.window == (2, 1, 6, 5)
        assert second.queries[0].packed.window == (0, 6, 10, 8)

    def test_splits_are_kept_apart(self, folder: Path) -> None:
        sentences = {
            split: [query.prompt.name for sample in samples(Refer(folder, split=split)) for query in sample.queries]
            for split in ("train", "testA", "testB")
        }
        assert sentences == {"train": ["man"], "testA": ["bar a"], "testB": ["ring"]}

    def test_run_lengths_are_read_too(self, folder: Path) -> None:
        mask = Refer(folder, split="testB")[0].queries[0].mask
        assert np.argwhere(mask).tolist() == [[1, 1], [2, 1], [3, 1]]  # column by column: 9 off, 3 on

    def test_words_can_be_had_as_they_were_written(self, folder: Path) -> None:
        assert Refer(folder, text="raw")[0].queries[0].prompt.name == "Left Man"

    @pytest.mark.parametrize(
        ("name", "partition", "split", "keys"),
        [
            ("refcoco", "google", "val", ["7", "9"]),
            ("refcoco+", None, "testA", ["9"]),
            ("refcocog", None, "val", ["7", "9"]),
            ("refcocog", "google", "train", ["7"]),
        ],
    )
    def test_every_set_and_partition(
        self, folder: Path, name: str, partition: str | None, split: str, keys: list[str]
    ) -> None:
        dataset = Refer(folder, name=name, partition=partition, split=split)
        assert [sample.key for sample in samples(dataset)] == keys
        assert dataset.partition == (partition or {"refcoco+": "unc", "refcocog": "umd"}[name])
        assert dataset.fingerprint != Refer(folder, split="val").fingerprint

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "refclef"}, "refcoco, refcoco+, refcocog"),
            ({"name": "refcoco+", "partition": "google"}, "'google'"),
            ({"name": "refcocog", "split": "testA"}, "train, val, test"),
            ({"text": "tokens"}, "sent, raw"),
        ],
    )
    def test_arguments_are_checked(self, folder: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError) as caught:
            Refer(folder, **options)
        assert message in str(caught.value)

    def test_a_split_without_expressions_is_said_so(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"refs\(umd\)\.p.*nothing in split 'test'"):
            Refer(folder, name="refcocog", split="test")

    def test_images_may_lie_elsewhere(self, folder: Path, tmp_path: Path) -> None:
        (folder / "images/mscoco/images/train2014").rename(tmp_path / "train2014")
        assert len(samples(Refer(folder, images=tmp_path / "train2014"))) == 2
