"""Pascal-Context's 59 and 459 names, from the authors' MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.contract import FolderContract, write_image
from wordmask.contracts import Dataset
from wordmask.data.sets.pascal_context import NAMES_59, pascal_context_59, pascal_context_459
from wordmask.errors import DataError

# Where some names stand in the authors' labels.txt; the others fill the gaps here under invented names.
PLACES = {2: "aeroplane", 9: "bag", 284: "person", 415: "track", 458: "wood"}
MAP = [[2, 2, 284], [415, 458, 1]]


def listed() -> list[str]:
    rest = [name for name in NAMES_59 if name not in PLACES.values()]
    names = {number: f"thing {number}" for number in range(1, 460)} | PLACES
    free = [number for number in names if number not in PLACES and number > 1]
    names |= dict(zip(free, rest, strict=False))
    return [f"{number}: {name}" for number, name in sorted(names.items())]


def write_set(root: Path) -> Path:
    for key in ("2008_000002", "2008_000003"):
        write_image(root / "JPEGImages" / f"{key}.jpg", (2, 3))
        (root / "trainval").mkdir(parents=True, exist_ok=True)
        savemat(root / "trainval" / f"{key}.mat", {"LabelMap": np.array(MAP, dtype=np.uint16)}, do_compression=True)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2008_000002\n2008_000003\n")
    (lists / "train.txt").write_text("2008_000003\n")
    (root / "labels.txt").write_text("\n".join(listed()))
    return root


class _PascalContext(FolderContract):
    annotations = ("trainval/2008_000002.mat",)
    images = "JPEGImages/*.jpg"
    malformed = (
        ("labels.txt", None),
        ("labels.txt", b"1: accordion\n2: aeroplane\n"),
        ("labels.txt", b"accordion\n"),
        ("labels.txt", "\n".join(listed()).replace("wood", "woods").encode()),
        ("ImageSets/Main/val.txt", None),
        ("trainval/2008_000002.mat", None),
        ("trainval/2008_000002.mat", b""),
        ("trainval/2008_000002.mat", b"MATLAB 5.0 MAT-file" + bytes(200)),
        ("JPEGImages/2008_000003.jpg", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_set(tmp_path / "VOC2010")


class TestPascalContext59(_PascalContext):
    options: ClassVar[dict[str, Any]] = {"split": "train", "background": True}

    def build(self, folder: Path, **options: Any) -> Dataset:
        return pascal_context_59(folder, **options)


class TestPascalContext459(_PascalContext):
    options: ClassVar[dict[str, Any]] = {"split": "train"}

    def build(self, folder: Path, **options: Any) -> Dataset:
        return pascal_context_459(folder, **options)


def test_the_59_are_found_by_name(tmp_path: Path) -> None:
    dataset = pascal_context_59(write_set(tmp_path))
    assert len(NAMES_59) == len(set(NAMES_59)) == 59
    assert dataset.names == NAMES_59
    sample = dataset[0]
    assert sample.labels is not None
    expected = [["aeroplane", "aeroplane", "person"], ["track", "wood", None]]
    assert [[NAMES_59[v] if v >= 0 else None for v in row] for row in sample.labels.tolist()] == expected
    assert (len(sample.absent), sample.ignored) == (55, None)


def test_the_rest_may_be_a_name(tmp_path: Path) -> None:
    dataset = pascal_context_59(write_set(tmp_path), background=True)
    assert (dataset.name, dataset.names[0], len(dataset.names)) == ("pascal-context-60", "background", 60)
    sample = dataset[0]
    assert sample.labels is not None
    assert int(sample.labels[1, 2]) == 0
    assert sample.queries[0].mask.tolist() == [[False] * 3, [False, False, True]]


def test_the_459_are_those_of_the_list(tmp_path: Path) -> None:
    dataset = pascal_context_459(write_set(tmp_path))
    assert len(dataset.names) == 459
    sample = dataset[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[1, 1, 283], [414, 457, 0]]


def test_the_list_may_lie_beside_the_maps(tmp_path: Path) -> None:
    root = write_set(tmp_path)
    (root / "labels.txt").rename(root / "trainval" / "labels.txt")
    assert len(pascal_context_459(root)) == 2


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"Labels": np.ones((2, 3), np.uint16)}, "no variable LabelMap"),
        ({"LabelMap": np.ones((2, 3))}, "a LabelMap of shape .* and type float64"),
        ({"LabelMap": np.full((2, 3), 460, np.uint16)}, "the value 460"),
    ],
)
def test_wrong_maps_are_named(tmp_path: Path, variables: dict[str, Any], problem: str) -> None:
    root = write_set(tmp_path)
    savemat(root / "trainval" / "2008_000002.mat", variables)
    with pytest.raises(DataError, match=rf"2008_000002\.mat' with {problem}"):
        pascal_context_59(root)[0]
