"""Any data set in COCO's instance format, and filling its polygons."""

from __future__ import annotations

import json
import re
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
HUGE = 10**400
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


# --- what does not belong together -----------------------------------------------------------------------------------


def changed(root: Path, **parts: list[Any]) -> Path:
    (root / "instances.json").write_text(json.dumps(content() | parts))
    return root


def image(number: Any, name: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": 4, "width": 6, **more}


def annotation(number: int, of: Any, category: Any = 3, code: Any = SQUARE, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": of, "category_id": category, "segmentation": code, **more}


def test_two_images_of_one_id_are_both_left_out(root: Path) -> None:
    images = [image(7, "a.png"), image(7, "c.png"), image(8, "sub/b.png")]
    changed(root, images=images, annotations=[annotation(1, 7), annotation(2, 8)])
    with pytest.raises(DataError, match=r"two images of the id 7, 'a\.png' and 'c\.png'"):
        opened(root)
    dataset = opened(root, skip_bad=True)
    assert [dataset[place].key for place in range(len(dataset))] == ["b"]
    assert len(dataset.problems) == 1


def test_one_file_twice_becomes_one_image(root: Path) -> None:
    changed(root, images=[image(7, "a.png"), image(8, "./a.png")], annotations=[annotation(1, 7), annotation(2, 8, 9)])
    with pytest.raises(DataError, match=r"the same file name 'a\.png'"):
        opened(root)
    dataset = opened(root, skip_bad=True)
    assert [query.label for query in dataset[0].queries] == ["car", "dog"]
    assert (len(dataset), len(dataset.problems)) == (1, 1)


def test_two_categories_of_one_id_are_both_left_out(root: Path) -> None:
    categories = [{"id": 3, "name": "car"}, {"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
    annotations = [annotation(1, 7, bbox=[1, 0, 2, 2]), annotation(2, 7, 9, LEFT_COLUMN)]
    changed(root, categories=categories, annotations=annotations)
    with pytest.raises(DataError, match="two categories of the id 3, 'car' and 'cat'"):
        opened(root)
    dataset = opened(root, skip_bad=True, exhaustive=True)
    sample = dataset[0]
    assert [query.label for query in sample.queries] == ["dog"]
    assert sample.absent == ()  # what the other object is called is not known
    assert sample.ignored is not None
    assert np.argwhere(sample.ignored.full()).tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert len(dataset.problems) == 1


def test_categories_of_one_name_are_one(root: Path) -> None:
    changed(root, categories=[{"id": 3, "name": "Car"}, {"id": 1, "name": "car "}, {"id": 9, "name": "dog"}])
    dataset = opened(root, crowds=True, skip_bad=True)
    assert dataset.names == ("Car", "dog")
    assert [query.packed.area for query in dataset[0].queries] == [20]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"annotations": [annotation(1, 7), annotation(2, 70)]}, "the unknown image 70 in annotation 1"),
        ({"annotations": [annotation(1, 7), annotation(2, 8, 70)]}, "the unknown category 70 in annotation 1"),
        ({"annotations": [annotation(1, 7), annotation(2, 8, iscrowd="0")]}, "'0' as 'iscrowd' of annotation 1"),
        ({"annotations": [annotation(1, 7), annotation(2, "8")]}, "a text as field 'image_id' of annotation 1"),
        ({"annotations": [annotation(1, 7), None]}, "no field 'image_id' in annotation 1"),
        ({"annotations": [annotation(1, 7)], "images": [image(7, "a.png"), "b.png"]}, "no field 'id' in image 1"),
        ({"annotations": [annotation(1, 7)], "images": [image(7, "a.png"), image(8, " ")]}, "a blank file name"),
        (
            {"annotations": [annotation(1, 7)], "images": [image(7, "a.png"), image(8, "b.png", height=10**9)]},
            "'1000000000' x '6' pixels in image 8",
        ),
        ({"categories": [*CATEGORIES, "cat"]}, "no field 'id' in category 3"),
        ({"categories": [*CATEGORIES, None]}, "no field 'id' in category 3"),
        ({"categories": [*CATEGORIES, {"id": [4], "name": "cat"}]}, "a list as field 'id' of category 3"),
        ({"categories": [*CATEGORIES, {"id": 4, "name": " "}]}, "a blank name in category 3"),
        ({"categories": [*CATEGORIES, {"id": 4, "name": "x" * 3000}]}, "a name of category 3 that is no phrase"),
    ],
)
def test_what_does_not_fit_is_refused_or_listed(root: Path, parts: dict[str, Any], problem: str) -> None:
    changed(root, **{"annotations": [annotation(1, 7)], **parts})
    with pytest.raises(DataError, match=problem):
        opened(root)
    dataset = opened(root, skip_bad=True)
    assert len(dataset.problems) == 1
    assert problem in dataset.problems[0]
    assert [query.label for query in dataset[0].queries] == ["car"]


def test_where_nothing_is_left_all_problems_are_said(root: Path) -> None:
    changed(root, categories=["car"], annotations=[annotation(1, 7)])
    with pytest.raises(DataError, match=r"data with 2 problems.*\n.*in category 0.*\n.*unknown category 3"):
        opened(root, skip_bad=True)


# --- things without a usable mask ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ([], "a mask|segmentation is empty"),
        (None, "a box without a mask"),
        ([[3, 1, 6, 4]], "no pixel of the image in the polygons"),
        ([[3, 1, 4, 1, 5, 1]], "no pixel of the image in the polygons"),
        ([[30, 10, 60, 10, 60, 40]], "no pixel of the image in the polygons"),
        ([[3, 1, 6, 1, 6, 4, 3, 1, 6, 1, 6, 4]], "no pixel of the image in the polygons"),
        ({"size": [4, 6], "counts": [24]}, "no pixel in the mask"),
        ([[3, 1, HUGE, 4, 5, 1]], "a number too large for a coordinate"),
        ([[3, 1, 1e12, 4, 5, 1]], r"the coordinate 1e\+12"),
    ],
)
def test_a_thing_without_a_mask_is_listed_and_its_box_ignored(root: Path, code: Any, problem: str) -> None:
    annotations = [annotation(1, 7), annotation(2, 7, 9, code, bbox=[3, 1, 3, 3]), annotation(3, 8)]
    dataset = opened(changed(root, annotations=annotations), skip_bad=True, crowds=True, exhaustive=True)
    (said,) = dataset.problems
    assert re.search(rf"{problem}.* annotation '2' \('dog'\)|annotation '2' \('dog'\).*{problem}", said)
    sample = dataset[0]
    assert [query.label for query in sample.queries] == ["car"]
    assert sample.absent == ("person",)
    assert sample.ignored is not None
    expected = np.zeros((4, 6), bool)
    expected[1:, 3:] = True
    np.testing.assert_array_equal(sample.ignored.full(), expected)


def test_a_thing_without_mask_and_box_is_listed(root: Path) -> None:
    dataset = opened(changed(root, annotations=[annotation(1, 7), annotation(2, 7, 9, [])]), skip_bad=True)
    assert len(dataset.problems) == 1
    assert dataset[0].ignored is None


@pytest.mark.parametrize("code", [None, []])
def test_boxes_stand_for_masks_where_they_are_asked_for(root: Path, code: Any) -> None:
    crowd = annotation(3, 7, 9, LEFT_COLUMN, iscrowd=1)
    annotations = [annotation(1, 7), annotation(2, 7, 9, code, bbox=[3, 1, 2.5, 3]), crowd, annotation(4, 7, 9)]
    dataset = opened(changed(root, annotations=annotations), skip_bad=True, crowds=True, boxes=True)
    assert dataset.problems == ()
    sample = dataset[0]
    assert [(query.label, query.boxes_only) for query in sample.queries] == [("car", False), ("dog", True)]
    dogs = sample.queries[1]
    assert [(one.mask, one.box, one.crowd) for one in dogs.instances] == [
        (None, (3, 1, 5.5, 4), False), (None, (1, 0, 3, 2), False),
    ]  # fmt: skip
    assert dogs.mask.astype(int).tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1], *[[0, 0, 0, 1, 1, 1]] * 2]
    assert sample.ignored is not None  # the crowd, of which nobody knows how many dogs it has
    assert sample.ignored.full()[:, 0].all()
    assert dataset.fingerprint != opened(root, crowds=True).fingerprint


@pytest.mark.parametrize("far", [1e6, 1e9])
def test_polygons_are_cut_at_the_border(root: Path, far: float) -> None:
    code = [[4, 0, far, 0, far, 4, 4, 4]]
    dataset = opened(changed(root, annotations=[annotation(1, 7, code=code)]), skip_bad=True)
    assert dataset.problems == ()
    assert np.argwhere(dataset[0].queries[0].mask).tolist() == [[row, column] for row in range(4) for column in (4, 5)]


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
