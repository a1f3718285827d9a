"""Folders of images with labels or instances: small ones, and the real sets where they lie beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract, write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.folder import open_files
from wordmask.data.registry import open_data
from wordmask.errors import DataError
from wordmask.images import load_image

PLACES = [folder / "shared" / "data" for folder in Path(__file__).parents[2:4]]  # in the checkout, or beside it
DATA = next((place for place in PLACES if place.is_dir()), PLACES[0])
SPLITS = {"train": ["a"], "val": ["b", "a"]}
CROWD = {"id": 1, "image_id": 2, "category_id": 5, "segmentation": {"size": [2, 3], "counts": [0, 2, 4]}, "iscrowd": 1}
THINGS = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "height": 2, "width": 3},
        {"id": 2, "file_name": "b.jpg", "exhaustive": True},
    ],
    "categories": [{"id": 5, "name": "dog"}, {"id": 6, "name": "grass"}],
    "annotations": [CROWD],
}


def write_set(root: Path, classes: dict[str, Any], values: Any = ((0, 1, 2), (2, 2, 255))) -> Path:
    for key in ("a", "b"):
        write_image(root / "images" / f"{key}.jpg", (2, 3))
        write_labels(root / "labels" / f"{key}.png", values)
    (root / "classes.json").write_text(json.dumps(classes))
    (root / "splits.json").write_text(json.dumps(SPLITS))
    return root


def write_things(root: Path) -> Path:
    for key in ("a", "b"):
        write_image(root / "images" / f"{key}.jpg", (2, 3))
    (root / "instances.json").write_text(json.dumps(THINGS))
    (root / "splits.json").write_text(json.dumps(SPLITS))
    return root


class TestLabelMapSet(FolderContract):
    annotations = ("labels/a.png", "labels/b.png")
    images = "images/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "train", "exhaustive": True}
    malformed = (
        ("splits.json", None),
        ("splits.json", b'{"val": "a"}'),
        ("splits.json", b'{"val": ["a", "a"]}'),
        ("splits.json", b'{"val": []}'),
        ("classes.json", None),
        ("classes.json", b'{"one": "dog"}'),
        ("classes.json", b'{"1": ""}'),
        ("classes.json", b'{"1": "dog", "255": "cup"}'),
        ("classes.json", b'{"0": "background"}'),
        ("labels/b.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_set(tmp_path / "pets", {"0": "background", "1": "dog", "2": "grass"})

    def build(self, folder: Path, **options: Any) -> Dataset:
        return open_files(folder, **({"split": "val"} | options))


class TestInstanceSet(FolderContract):
    annotations = ("instances.json",)
    images = "images/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "train", "exhaustive": True}
    malformed = (("splits.json", b"{"), ("instances.json", b"{}"), ("images/b.jpg", b"no image"))

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_things(tmp_path / "pets")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return open_files(folder, **({"split": "val"} | options))


def test_background_and_other_are_no_names(tmp_path: Path) -> None:
    for word in ("background", "other"):
        dataset = open_files(write_set(tmp_path / word, {"0": word, "1": "dog", "2": "grass", "255": "ignore"}))
        assert dataset.names == ("dog", "grass")
        sample = dataset[0]
        assert sample.key == "b"
        assert sample.labels is not None
        assert sample.labels.tolist() == [[-1, 0, 1], [1, 1, -1]]
        assert sample.ignored is not None
        assert sample.ignored.area == 1


def test_value_0_without_a_name_is_the_background(tmp_path: Path) -> None:
    sample = open_files(write_set(tmp_path / "pets", {"1": "dog", "2": "grass"}))[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[-1, 0, 1], [1, 1, -1]]
    assert sample.ignored is not None
    assert sample.ignored.area == 1  # the 255, not the 0


def test_the_value_255_is_reserved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes\.json' with the name 'cup' for the value 255, which is reserved"):
        open_files(write_set(tmp_path / "cups", {"0": "background", "255": "cup"}))


def test_values_called_void_are_ignored(tmp_path: Path) -> None:
    dataset = open_files(write_set(tmp_path / "pets", {"0": "Void", "1": "dog", "2": "grass"}))
    assert dataset.names == ("dog", "grass")
    ignored = dataset[0].ignored
    assert ignored is not None
    assert ignored.area == 2


def test_a_value_is_named_once(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pets", {"1": "dog"})
    (folder / "classes.json").write_text('{"1": "dog", "2": "cat", "1": "grass"}')
    with pytest.raises(DataError, match=r"classes\.json' with damaged JSON .*the key '1' twice"):
        open_files(folder)


def test_names_that_differ_in_case_and_blanks_are_one(tmp_path: Path) -> None:
    dataset = open_files(write_set(tmp_path / "pets", {"0": "Background", "1": "Dog ", "2": "dog"}))
    assert dataset.names == ("Dog",)
    assert [query.packed.area for query in dataset[0].queries] == [4]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_their_masks(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png", exif=exif)
    upright = load_image(tmp_path / "images" / "a.png")
    bright = upright.pixels[..., 0] > 127
    write_labels(tmp_path / "labels" / "a.png", bright)
    write_labels(tmp_path / "m.png", bright)
    (tmp_path / "classes.json").write_text('{"1": "bright"}')
    (tmp_path / "pairs.csv").write_text("image,mask,phrase\nimages/a.png,m.png,bright\n")
    for path in (tmp_path, tmp_path / "pairs.csv"):
        sample = open_files(path)[0]
        np.testing.assert_array_equal(load_image(sample.image).pixels, upright.pixels)
        np.testing.assert_array_equal(sample.queries[0].mask, bright)


def test_splits_name_files_with_or_without_ending(tmp_path: Path) -> None:
    for write in (write_things, lambda root: write_set(root, {"1": "dog", "2": "grass"})):
        folder = write(tmp_path / write.__name__.strip("<>"))
        (folder / "splits.json").write_text('{"val": ["b.jpg", "images/a.jpg"]}')
        dataset = open_files(folder)
        assert [dataset[place].key for place in (0, 1)] == ["b", "a"]


def test_names_in_splits_without_an_image_are_listed(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pets", {"1": "dog", "2": "grass"})
    (folder / "splits.json").write_text('{"val": ["a", "z", "a.jpg"]}')
    dataset = open_files(folder)
    assert [dataset[place].key for place in range(len(dataset))] == ["a"]
    missing, twice = dataset.problems
    assert "no image 'z' in" in missing
    assert "twice the sample 'a.jpg' in" in twice
    (folder / "labels" / "b.png").unlink()
    (folder / "splits.json").write_text('{"val": ["a", "b"]}')
    assert "b.jpg' with no partner" in open_files(folder).problems[0]


def test_hidden_files_are_no_data(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pets", {"1": "dog", "2": "grass"})
    for name in ("images/._a.jpg", "labels/._a.png", "._pairs.csv"):
        (folder / name).write_bytes(b"Mac OS X")
    assert len(open_files(folder)) == 2
    assert open_files(folder).problems == ()


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "\x00", "a/" * 3000])
def test_paths_that_no_system_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^Got no folder or file "):
        open_data(tmp_path / name)
    things = {**THINGS, "images": [{**THINGS["images"][0], "file_name": name}]}
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations.json").write_text(json.dumps({**things, "annotations": []}))
    with pytest.raises(DataError, match="of which there is no file in"):
        open_data(tmp_path)


def test_value_0_may_be_a_name(tmp_path: Path) -> None:
    sample = open_files(write_set(tmp_path / "streets", {"0": "sky", "1": "road", "2": "car"}))[0]
    assert [query.label for query in sample.queries] == ["sky", "road", "car"]


def test_only_exhaustive_sets_have_absent_names(tmp_path: Path) -> None:
    classes: dict[str, Any] = {"0": "background", "1": "dog", "2": "grass", "3": "cat"}
    for name, marked, absent in (("celebamask", None, ()), ("pets", True, ("cat",)), ("toys", False, ())):
        folder = write_set(tmp_path / name, classes if marked is None else classes | {"exhaustive": marked})
        assert open_files(folder)[0].absent == absent
        assert open_files(folder, exhaustive=True)[0].absent == ("cat",)
        assert open_files(folder, exhaustive=False)[0].absent == ()
    with pytest.raises(DataError, match="'yes' as 'exhaustive' instead of true or false"):
        open_files(write_set(tmp_path / "wrong", classes | {"exhaustive": "yes"}))


def test_instances_that_are_exhaustive(tmp_path: Path) -> None:
    folder = write_things(tmp_path / "things")
    assert [open_files(folder)[place].absent for place in (0, 1)] == [("grass",), ()]  # the first says so for itself
    assert [open_files(folder, exhaustive=True)[place].absent for place in (0, 1)] == [("grass",), ("dog", "grass")]
    assert [open_files(folder, exhaustive=False)[place].absent for place in (0, 1)] == [(), ()]
    (folder / "instances.json").write_text(json.dumps(THINGS | {"exhaustive": True}))
    assert [open_files(folder)[place].absent for place in (0, 1)] == [("grass",), ("dog", "grass")]


def test_instances_and_their_crowds(tmp_path: Path) -> None:
    dataset = open_files(write_things(tmp_path / "things"))
    first, second = dataset[0], dataset[1]
    assert (first.key, [query.label for query in first.queries], first.absent) == ("b", ["dog"], ("grass",))
    np.testing.assert_array_equal(first.queries[0].mask, [[True, False, False]] * 2)
    assert (second.key, second.queries, second.absent) == ("a", (), ())


def test_unknown_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the split of pets 'test', expected one of train, val"):
        open_files(write_things(tmp_path / "pets"), "test")


REAL = {
    "camvid": (11, 101), "carparts": (18, 40), "celebamask": (18, 85), "clothing": (58, 90), "coco": (133, 44),
    "facade": (8, 32), "objects": (8, 33), "pascal": (20, 64), "people": (1, 51), "windows": (10, 20),
}  # fmt: skip
"""Number of names and of images in "val"."""


@pytest.mark.skipif(not (DATA / "celebamask").is_dir(), reason="the data folder is not beside the repository")
@pytest.mark.parametrize("name", REAL)
def test_the_real_sets_are_read(name: str) -> None:
    exhaustive = name in ("celebamask", "camvid", "pascal")
    dataset = open_files(DATA / name, "val", exhaustive=exhaustive or None)
    assert (len(dataset.names), len(dataset)) == REAL[name]
    sound = 0
    for index in range(0, len(dataset), len(dataset) // 4):
        sample = dataset[index]
        assert load_image(sample.image).size == sample.size
        assert sample.queries
        assert all(query.packed.area > 0 and query.packed.size == sample.size for query in sample.queries)
        assert (len(sample.queries) + len(sample.absent) == len(dataset.names)) or not exhaustive
        sound += 1
    print(f"{name}: {sound} samples")
    assert sound >= 4


@pytest.mark.skipif(not (DATA / "celebamask").is_dir(), reason="the data folder is not beside the repository")
def test_the_left_eye_is_the_persons_own() -> None:
    dataset = open_files(DATA / "celebamask", "val")
    sides = []
    for index in range(len(dataset)):
        masks = {query.label: query.packed.box for query in dataset[index].queries}
        left, right = masks.get("left eye"), masks.get("right eye")
        if left and right:
            sides.append(left[0] > right[0])
    print(f"{sum(sides)} of {len(sides)} faces with both eyes")
    assert len(sides) >= 50
    assert sum(sides) >= 0.9 * len(sides)  # the set has a few that are named the other way round
