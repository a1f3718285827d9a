"""Any data set in COCO's instance format, and filling its polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pycocotools import mask as reference

from tests.data.contract import FolderContract, write_image
from wordmask.contracts import Dataset
from wordmask.data.coco_json import CocoJson
from wordmask.data.segmentations import decode_segmentation
from wordmask.errors import DataError

CATEGORIES = [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}, {"id": 9, "name": "dog"}]
SQUARE = [[1, 0, 3, 0, 3, 2, 1, 2]]  # columns 1 and 2, rows 0 and 1
LEFT_COLUMN = {"size": [4, 6], "counts": [0, 4, 20]}
RIGHT_HALF = np.arange(24).reshape(4, 6) % 6 >= 3


def compressed(mask: np.ndarray) -> dict[str, Any]:
    code = reference.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def content() -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 4, "width": 6},
            {"id": 8, "file_name": "sub/b.png", "exhaustive": True},
            {"id": 9, "file_name": "c.png", "height": 4, "width": 6},
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "segmentation": SQUARE, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "segmentation": LEFT_COLUMN},
            {"id": 3, "image_id": 7, "category_id": 1, "segmentation": compressed(RIGHT_HALF), "iscrowd": 1},
            {"id": 4, "image_id": 8, "category_id": 9, "segmentation": SQUARE},
            {"id": 5, "image_id": 9, "category_id": 1, "segmentation": [[0, 0, 5, 5]]},
        ],
    }


def write_set(root: Path) -> Path:
    for seed, name in enumerate(("a.png", "sub/b.png", "c.png")):
        write_image(root / "images" / name, (4, 6), seed=seed)
    (root / "instances.json").write_text(json.dumps(content()))
    return root


class TestCocoJson(FolderContract):
    annotations = ("instances.json",)
    images = "images/**/*.png"
    options: ClassVar[dict[str, Any]] = {"exhaustive": True, "crowds": True, "keys": ("a",)}
    malformed = (
        ("instances.json", None),
        ("instances.json", b"[]"),
        ("instances.json", b'{"images": []}'),
        ("instances.json", json.dumps(content() | {"images": []}).encode()),
        ("instances.json", json.dumps(content() | {"categories": [{"id": 1}]}).encode()),
        ("instances.json", json.dumps(content() | {"annotations": [{"image_id": 7, "category_id": 4}]}).encode()),
        ("instances.json", json.dumps(content() | {"annotations": [{"image_id": 7, "category_id": 3}]}).encode()),
        ("images/a.png", None),
        ("images/sub/b.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_set(tmp_path / "set")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return CocoJson(folder / "instances.json", folder / "images", **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path)


def opened(root: Path, **options: Any) -> CocoJson:
    return CocoJson(root / "instances.json", root / "images", **options)


def test_things_of_a_name_make_one_mask(root: Path) -> None:
    sample = opened(root)[0]
    assert (sample.key, sample.size, sample.labels) == ("a", (4, 6), None)
    assert [query.label for query in sample.queries] == ["car"]
    rows = [[True, True, True, False, False, False]] * 2 + [[True, False, False, False, False, False]] * 2
    assert sample.queries[0].mask.tolist() == rows
    assert opened(root).names == ("car", "person", "dog")


def test_instances_are_kept_one_by_one(root: Path) -> None:
    (car,) = opened(root)[0].queries
    assert [(one.box, one.crowd) for one in car.instances] == [((1, 0, 3, 2), False), ((0, 0, 1, 4), False)]
    (dog,) = opened(root)[1].queries
    assert [one.mask.area for one in dog.instances if one.mask is not None] == [4]
    person = opened(root, crowds=True)[0].queries[1]
    assert [(one.box, one.crowd) for one in person.instances] == [((3, 0, 6, 4), True)]


def test_annotations_without_a_pixel_are_no_instances(root: Path) -> None:
    file = root / "instances.json"
    empty = {"id": 6, "image_id": 8, "category_id": 9, "segmentation": [[0, 0, 5, 5]]}
    file.write_text(json.dumps(content() | {"annotations": [*content()["annotations"], empty]}))
    assert len(opened(root)[1].queries[0].instances) == 1


def test_crowds_are_ignored_and_never_absent(root: Path) -> None:
    sample = opened(root, exhaustive=True)[0]
    assert sample.ignored is not None
    np.testing.assert_array_equal(sample.ignored.full(), RIGHT_HALF)
    assert sample.absent == ("dog",)


def test_a_pixel_of_a_thing_in_a_crowd_counts(root: Path) -> None:
    changed = content()
    changed["annotations"].append(
        {"id": 6, "image_id": 7, "category_id": 9, "segmentation": [[3, 0, 6, 0, 6, 4, 3, 4]]}
    )
    (root / "instances.json").write_text(json.dumps(changed))
    sample = opened(root)[0]
    assert sample.ignored is None
    assert [query.label for query in sample.queries] == ["car", "dog"]


def test_crowds_may_count(root: Path) -> None:
    sample = opened(root, crowds=True)[0]
    assert sample.ignored is None
    assert [query.packed.area for query in sample.queries] == [8, 12]


def test_an_image_may_be_exhaustive_by_itself(root: Path) -> None:
    dataset = opened(root)
    assert [dataset[index].absent for index in range(3)] == [(), ("car", "person"), ()]
    assert dataset[1].key == "b"


def test_a_thing_without_a_pixel_is_neither_asked_for_nor_absent(root: Path) -> None:
    sample = opened(root, exhaustive=True)[2]  # a polygon of two points
    assert sample.queries == ()
    assert sample.absent == ("car", "dog")


def test_keys_choose_and_order(root: Path) -> None:
    assert [opened(root, keys=("c", "a"))[index].key for index in (0, 1)] == ["c", "a"]
    with pytest.raises(DataError, match=r"no image 'z' in '.*instances\.json'"):
        opened(root, keys=("z",))


def test_names_that_clash_get_whole_keys(root: Path) -> None:
    changed = content()
    changed["images"][1]["file_name"] = "sub/a.png"
    (root / "instances.json").write_text(json.dumps(changed))
    write_image(root / "images" / "sub" / "a.png")
    assert [opened(root)[index].key for index in range(3)] == ["a.png", "sub/a.png", "c.png"]


def test_an_image_of_another_size_is_named(root: Path) -> None:
    write_image(root / "images" / "a.png", (6, 4))
    with pytest.raises(DataError, match=r"a\.png' with 6 x 4 pixels"):
        opened(root)[0]


# --- segmentations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (None, "neither polygons nor run lengths as segmentation of annotation 3"),
        ("abc", "neither"),
        ([[1, 2, 3]], "no list of x, y"),
        ([["a", "b"]], "no list of x, y"),
        ([[1, 2, float("nan"), 4, 5, 6]], "not finite"),
        ({"size": [6, 4], "counts": [24]}, r"run lengths of size '\[6, 4\]' in annotation 3, not \[4, 6\]"),
        ({"counts": [24]}, "run lengths of size 'None'"),
        ({"size": [4, 6], "counts": [23]}, "damaged run lengths"),
        ({"size": [4, 6], "counts": [25, -1]}, "damaged run lengths"),
        ({"size": [4, 6], "counts": [1.5]}, "damaged run lengths"),
        ({"size": [4, 6], "counts": []}, "damaged run lengths"),
        ({"size": [4, 6], "counts": "~~"}, "damaged run lengths"),
        ({"size": [4, 6]}, "damaged run lengths"),
    ],
)
def test_damaged_segmentations_are_named(code: Any, problem: str) -> None:
    with pytest.raises(DataError, match=rf"x\.json' with .*{problem}"):
        decode_segmentation(code, (4, 6), "x.json", "annotation 3")


def test_run_lengths_both_ways_equal_the_reference() -> None:
    random = np.random.default_rng(0)
    for size in ((1, 1), (5, 7), (31, 17)):
        mask = random.random(size) < 0.4
        np.testing.assert_array_equal(decode_segmentation(compressed(mask), size, "", ""), mask)
        runs: list[int] = [0]
        for before, value in zip(np.r_[False, mask.T.ravel()], mask.T.ravel(), strict=False):
            if value != before:
                runs.append(0)
            runs[-1] += 1
        code = {"size": list(size), "counts": runs}
        np.testing.assert_array_equal(decode_segmentation(code, size, "", ""), mask)
