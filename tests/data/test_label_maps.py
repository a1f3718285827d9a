"""Any folder of images and label maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import FolderContract, write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.label_maps import LabelMaps
from wordmask.errors import DataError

NAMES = ("sky", "road", "car")
KITCHEN = [[0, 0, 1], [2, 2, 255]]
STREET = [[1, 1], [1, 1]]


def write_folder(root: Path) -> Path:
    write_image(root / "images" / "kitchen.jpg", (2, 3))
    write_labels(root / "labels" / "kitchen.png", KITCHEN)
    write_image(root / "images" / "street.png", (2, 2), seed=1)
    write_labels(root / "labels" / "street.tif", STREET, bits=16)
    (root / "images" / "Thumbs.db").write_bytes(b"not looked at")
    return root


class TestLabelMaps(FolderContract):
    annotations = ("labels/kitchen.png", "labels/street.tif")
    images = "images/*.[jp][pn]g"
    options: ClassVar[dict[str, Any]] = {
        "ignore": (255, 7),
        "exhaustive": True,
        "keys": ("street",),
        "names": ("sky", "cat", "car"),
    }
    malformed = (
        ("labels/kitchen.png", b"no image"),
        ("labels/kitchen.png", None),
        ("images/kitchen.jpg", None),
        ("images/street.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_folder(tmp_path / "set")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return LabelMaps(folder / "images", folder / "labels", options.pop("names", NAMES), **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path)


def opened(root: Path, names: Any = NAMES, **options: Any) -> LabelMaps:
    return LabelMaps(root / "images", root / "labels", names, **options)


def test_values_become_names(root: Path) -> None:
    dataset = opened(root, exhaustive=True)
    kitchen, street = dataset[0], dataset[1]
    assert (kitchen.key, street.key) == ("kitchen", "street")
    assert [query.prompt.name for query in kitchen.queries] == ["sky", "road", "car"]
    assert kitchen.labels is not None
    assert kitchen.labels.tolist() == [[0, 0, 1], [2, 2, -1]]
    assert kitchen.queries[2].mask.tolist() == [[False] * 3, [True, True, False]]
    assert kitchen.ignored is not None
    assert kitchen.ignored.full().tolist() == [[False] * 3, [False, False, True]]
    assert [query.label for query in street.queries] == ["road"]
    assert (kitchen.absent, street.absent, street.ignored) == ((), ("sky", "car"), None)


def test_absent_names_need_an_exhaustive_set(root: Path) -> None:
    assert opened(root)[1].absent == ()


def test_pixels_of_other_values_count_but_have_no_label(root: Path) -> None:
    sample = opened(root, {1: "road", 2: "car"}, other=(0,), keys=["kitchen"])[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[-1, -1, 0], [1, 1, -1]]
    assert sample.ignored is not None
    assert sample.ignored.area == 1  # the pixel of value 255 only


def test_a_name_may_have_several_values(root: Path) -> None:
    dataset = opened(root, {0: "ground", 1: "ground", 2: "car"}, keys=["kitchen"])
    assert dataset.names == ("ground", "car")
    assert dataset[0].queries[0].packed.area == 3


def test_an_unknown_value_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"kitchen\.png' with the value 2, expected .* among 0-1, 255: name this value"):
        opened(root, ("sky", "road"))[0]


def test_sizes_that_differ_are_named(root: Path) -> None:
    write_image(root / "images" / "street.png", (2, 3))
    with pytest.raises(DataError, match=r"street\.png' with 2 x 3 pixels"):
        opened(root)[1]


def test_keys_choose_and_order(root: Path) -> None:
    assert [opened(root, keys=["street", "kitchen"])[index].key for index in (0, 1)] == ["street", "kitchen"]
    with pytest.raises(DataError, match=r"no file '.*garden\.png' \(or \.tif, \.tiff\), expected the label map"):
        opened(root, keys=["garden"])


def test_two_files_of_one_name_are_refused(root: Path) -> None:
    write_image(root / "images" / "kitchen.png", (2, 3))
    with pytest.raises(DataError, match=r"two files for 'kitchen' .*kitchen\.png and kitchen\.jpg"):
        opened(root)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"no images in '.*images'"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("names", "options", "problem"),
    [
        ((), {}, "no names"),
        (("sky", " "), {}, "the name ' ' for value 1"),
        ({-1: "sky"}, {}, "the label value '-1'"),
        ({70_000: "sky"}, {}, "the label value '70000'"),
        (NAMES, {"ignore": 1}, "two meanings for the label value 1"),
        (NAMES, {"other": (255,)}, "two meanings for the label value 255"),
    ],
)
def test_bad_meanings_are_refused(root: Path, names: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        opened(root, names, **options)


def test_large_label_maps_are_counted_whole(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.png", (1, 70_000))
    values = np.zeros((1, 70_000))
    values[0, 65_536:] = 1
    write_labels(tmp_path / "labels" / "a.png", values)
    assert [query.packed.area for query in opened(tmp_path)[0].queries] == [65_536, 4_464]
