"""PhraseCut: all instances of a phrase in one mask, filled in either of two ways, without the images that misfit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract, samples
from tests.images import scene
from wordmask.data.sets.phrasecut import EXCLUDED, RASTERISERS, PhraseCut
from wordmask.errors import DataError

LEFT = [[1, 1], [4, 1], [4, 3], [1, 3]]
RIGHT = [[6.9, 2.0], [8.2, 2.0], [8.2, 5.9], [6.9, 5.9]]


def task(key: str, image: int, phrase: str, *instances: list[Any]) -> dict[str, Any]:
    return {
        "task_id": key, "image_id": image, "ann_ids": [1], "phrase": phrase, "Polygons": list(instances),
        "instance_boxes": [[0, 0, 1, 1] for _ in instances],
    }  # fmt: skip


TASKS = [
    task("2__1", 2, "wooden chair", [LEFT], [RIGHT]),
    task("61564__5", 61564, "misfit", [LEFT]),
    task("3__1", 3, "sky", [LEFT]),
    task("2__7", 2, "nothing", []),
]
IMAGES = [{"image_id": number, "width": 10, "height": 7, "split": "test", "url": ""} for number in (1, 2, 3, 4, 61564)]


def write_phrasecut(
    folder: Path, tasks: dict[str, list[dict[str, Any]]], images: list[dict[str, Any]] | None = None
) -> Path:
    """Write VGPhraseCut_v0 with an image for every entry of `images`."""
    root = folder / "VGPhraseCut_v0"
    (root / "images").mkdir(parents=True)
    (root / "image_data_split.json").write_text(json.dumps(images or IMAGES))
    for split, of_split in tasks.items():
        (root / f"refer_{split}.json").write_text(json.dumps(of_split, indent=1))
    for entry in images or IMAGES:
        size = (entry["height"], entry["width"])
        Image.fromarray(scene(*size)).save(root / "images" / f"{entry['image_id']}.jpg")
    return root


def broken(**fields: Any) -> bytes:
    return json.dumps([{**TASKS[0], **fields}]).encode()


class TestPhraseCut(FolderContract):
    annotations = ("refer_test.json", "image_data_split.json")
    images = "images/*.jpg"
    options: ClassVar[dict[str, Any]] = {"rasteriser": "official", "split": "miniv"}
    malformed = (
        ("refer_test.json", None),
        ("refer_test.json", b"{}"),
        ("refer_test.json", b"[{}"),
        ("refer_test.json", b"[{} {}]"),
        ("refer_test.json", b"\xff"),
        ("refer_test.json", b"[3]"),
        ("refer_test.json", broken(task_id=None)),
        ("refer_test.json", broken(phrase=" ")),
        ("refer_test.json", broken(phrase=3)),
        ("refer_test.json", broken(image_id="2")),
        ("refer_test.json", broken(Polygons=None)),
        ("refer_test.json", broken(Polygons=[[[[1, 2], [3]]]])),
        ("refer_test.json", broken(Polygons=[[[1, 2, 3, 4]]])),
        ("refer_test.json", broken(Polygons=[[[["a", 2]]]])),
        ("refer_test.json", broken(Polygons=[3])),
        ("image_data_split.json", None),
        ("image_data_split.json", b"[]"),
        ("image_data_split.json", b'[{"image_id": 2, "width": 10}]'),
        ("images/2.jpg", None),
        ("images/3.jpg", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_phrasecut(tmp_path, {"test": TASKS, "miniv": [task("4__1", 4, "sky", [RIGHT])], "val": []})

    def build(self, folder: Path, **options: Any) -> PhraseCut:
        return PhraseCut(folder, **options)

    def test_an_image_has_all_its_phrases(self, dataset: PhraseCut) -> None:
        assert (dataset.name, dataset.split, dataset.names) == ("phrasecut", "test", ())
        first, second = samples(dataset)
        assert (first.key, second.key, first.size) == ("2", "3", (7, 10))
        assert [(query.prompt.name, query.label) for query in first.queries] == [
            ("wooden chair", "2__1"),
            ("nothing", "2__7"),
        ]
        assert first.queries[1].packed.area == 0

    def test_instances_are_united(self, dataset: PhraseCut, folder: Path) -> None:
        """The same polygon filled by hand: scikit-image takes points on the upper and left border, Pillow all."""
        clipseg = dataset[0].queries[0].mask
        official = PhraseCut(folder, rasteriser="official")[0].queries[0].mask
        inner = np.zeros((7, 10), dtype=bool)
        inner[2, 2:4] = True  # strictly inside the left one
        inner[3:6, 7:9] = True  # strictly inside the right one: x from 6.9 to 8.2, y from 2 to 5.9
        assert (clipseg & inner).sum() == inner.sum()
        outer = np.zeros((7, 10), dtype=bool)
        outer[1:4, 1:5] = True
        outer[2:6, 7:9] = True
        assert not (clipseg & ~outer).any()
        by_hand = np.zeros((7, 10), dtype=bool)
        by_hand[1:4, 1:5] = True
        by_hand[2:6, 6:9] = True  # coordinates cut to 6, 8, 2 and 5, outline included
        np.testing.assert_array_equal(official, by_hand)

    def test_images_that_misfit_are_left_out(self, dataset: PhraseCut) -> None:
        assert len(EXCLUDED) == 17
        assert "61564" not in {sample.key for sample in samples(dataset)}

    def test_splits_are_joined_as_the_authors_do(self, folder: Path) -> None:
        joined = PhraseCut(folder, split="val_miniv")
        assert [sample.key for sample in samples(joined)] == ["4"]
        assert len(PhraseCut(folder, split="test_miniv")) == 3
        with pytest.raises(DataError, match="train, val, test, miniv"):
            PhraseCut(folder, split="test_mini")
        with pytest.raises(DataError, match="clipseg, official"):
            PhraseCut(folder, rasteriser="opencv")

    def test_an_image_of_another_size_is_refused(self, folder: Path) -> None:
        Image.fromarray(scene(7, 11)).save(folder / "images/3.jpg")
        with pytest.raises(DataError, match=r"3\.jpg.*7 x 11.*7 x 10"):
            PhraseCut(folder)[1]

    def test_an_empty_split_is_empty(self, folder: Path) -> None:
        assert len(PhraseCut(folder, split="val")) == 0


@pytest.mark.parametrize("name", RASTERISERS)
def test_points_and_lines_are_no_fault(name: str) -> None:
    """PhraseCut has polygons of one or two points."""
    for points in ([[3, 2]], [[3, 2], [5, 2]], [[3, 2], [3, 2], [3, 2]]):
        filled = RASTERISERS[name](np.array(points, dtype=np.float64), (6, 8))
        assert filled.shape == (6, 8)
        assert filled.sum() <= 3


def test_the_rasterisers_differ_along_the_border_only() -> None:
    from scipy.ndimage import binary_dilation, binary_erosion

    random = np.random.default_rng(1)
    differing = 0
    for _ in range(20):
        turns = np.sort(random.uniform(0, 2 * np.pi, 9))
        points = 40 + 30 * np.stack([np.cos(turns), np.sin(turns)], axis=1) * random.uniform(0.5, 1, (9, 1))
        one, other = (fill(points, (80, 80)) for fill in RASTERISERS.values())
        square = np.ones((5, 5))
        assert not (binary_erosion(one, square) & ~other).any()
        assert not (other & ~binary_dilation(one, square)).any()
        differing += int((one != other).sum())
    assert differing > 100
