"""ADE20K's 150 and 847 names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.data.contract import FolderContract, write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.sets.ade20k import NAMES_150, ade20k_150, ade20k_847
from wordmask.errors import DataError

NAME = "ADE_val_00000001"
FULL = [f"name {number}" for number in range(847)]


def write_benchmark(root: Path) -> Path:
    for part in ("training", "validation"):
        write_image(root / "images" / part / f"{NAME}.jpg", (1, 4))
        write_labels(root / "annotations" / part / f"{NAME}.png", [[0, 1, 1, 150]])
    return root


def write_full(root: Path) -> Path:
    for part in ("training", "validation"):
        write_image(root / "images_detectron2" / part / f"{NAME}.jpg", (1, 4))
        write_labels(root / "annotations_detectron2" / part / f"{NAME}.tif", [[0, 255, 846, 65535]], bits=16)
    (root / "names847.txt").write_text("\n".join(FULL))
    return root


class TestAde20k150(FolderContract):
    annotations = (f"annotations/validation/{NAME}.png",)
    images = "images/*/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "train"}
    malformed = (
        (f"images/validation/{NAME}.jpg", None),
        (f"annotations/validation/{NAME}.png", None),
        (f"annotations/validation/{NAME}.png", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_benchmark(tmp_path / "ade")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return ade20k_150(folder, **options)


class TestAde20k847(FolderContract):
    annotations = (f"annotations_detectron2/validation/{NAME}.tif",)
    images = "images_detectron2/*/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "train"}
    malformed = (
        ("names847.txt", None),
        ("names847.txt", b"wall\nfloor\n"),
        ("names847.txt", "\n".join(["twice", *FULL[1:-1], "twice"]).encode()),
        (f"annotations_detectron2/validation/{NAME}.tif", None),
        (f"annotations_detectron2/validation/{NAME}.tif", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_full(tmp_path / "ade")

    def build(self, folder: Path, **options: Any) -> Dataset:
        return ade20k_847(folder, **options)


def test_there_are_150_names() -> None:
    assert len(NAMES_150) == len(set(NAMES_150)) == 150
    known = {1: "wall", 13: "person", 44: "signboard", 90: "television receiver", 131: "screen", 150: "flag"}
    assert {number: NAMES_150[number - 1] for number in known} == known


def test_value_0_is_none_of_the_150(tmp_path: Path) -> None:
    sample = ade20k_150(write_benchmark(tmp_path))[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[-1, 0, 0, 149]]
    assert [query.label for query in sample.queries] == ["wall", "flag"]
    assert sample.queries[0].mask.tolist() == [[False, True, True, False]]
    assert sample.ignored is None
    assert len(sample.absent) == 148


def test_the_847_use_16_bits(tmp_path: Path) -> None:
    dataset = ade20k_847(write_full(tmp_path))
    assert dataset.names == tuple(FULL)
    sample = dataset[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[0, 255, 846, -1]]
    assert [query.label for query in sample.queries] == ["name 0", "name 255", "name 846"]


def test_the_list_of_847_says_what_to_do(tmp_path: Path) -> None:
    root = write_full(tmp_path)
    (root / "names847.txt").unlink()
    with pytest.raises(
        DataError, match=r"names847\.txt', expected a file with the 847 names .* wordmask\.data\.sets\.ade20k"
    ):
        ade20k_847(root)
