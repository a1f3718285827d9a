"""PAS-20 and PAS-21: VOC 2012 without and with its background."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.data.contract import FolderContract, write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.sets.pas import pas20, pas21

VALUES = [[0, 15, 255], [20, 20, 1]]


def write_voc(root: Path) -> Path:
    for key in ("2007_000032", "2007_000033"):
        write_image(root / "JPEGImages" / f"{key}.jpg", (2, 3))
        write_labels(root / "SegmentationClass" / f"{key}.png", VALUES)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000033\n")
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "trainval.txt").write_text("2007_000032\n2007_000033\n")
    return root


class _Pas(FolderContract):
    annotations = ("SegmentationClass/2007_000033.png",)
    images = "JPEGImages/*.jpg"
    options: ClassVar[dict[str, Any]] = {"split": "trainval"}
    malformed = (
        ("ImageSets/Segmentation/val.txt", None),
        ("ImageSets/Segmentation/val.txt", b"\xff\xfe"),
        ("SegmentationClass/2007_000033.png", None),
        ("SegmentationClass/2007_000033.png", b"no image"),
        ("JPEGImages/2007_000033.jpg", None),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_voc(tmp_path / "VOC2012")


class TestPas20(_Pas):
    def build(self, folder: Path, **options: Any) -> Dataset:
        return pas20(folder, **options)


class TestPas21(_Pas):
    def build(self, folder: Path, **options: Any) -> Dataset:
        return pas21(folder, **options)


def test_the_background_has_a_name_in_one_of_them(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOCdevkit" / "VOC2012")
    twenty, more = pas20(tmp_path)[0], pas21(root)[0]
    assert twenty.labels is not None
    assert more.labels is not None
    assert twenty.labels.tolist() == [[-1, 14, -1], [19, 19, 0]]
    assert more.labels.tolist() == [[0, 15, -1], [20, 20, 1]]
    assert [query.label for query in twenty.queries] == ["aeroplane", "person", "tvmonitor"]
    assert [query.label for query in more.queries] == ["background", "aeroplane", "person", "tvmonitor"]
    for sample in (twenty, more):  # the background counts in both, the edge in neither
        assert sample.ignored is not None
        assert sample.ignored.full().tolist() == [[False, False, True], [False] * 3]
    assert (len(pas20(root).names), len(pas21(root).names)) == (20, 21)
