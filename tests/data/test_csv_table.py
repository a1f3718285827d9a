"""Images, masks and phrases in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract, samples, write_image
from wordmask.data.csv_table import CsvTable
from wordmask.errors import DataError

LINES = (
    "image,mask,phrase,note",
    "photos/a.jpg,masks/a-cup.png,the red cup,",
    "photos/b.png,masks/b.png,leaf,two lines below",
    'photos/a.jpg,masks/a-handle.png," a handle, left "',
    "photos/a.jpg,masks/a-second.png,the red cup",
    "photos/a.jpg,,spoon",
)


def write_mask(path: Path, *cells: tuple[int, int], size: tuple[int, int] = (4, 6)) -> None:
    values = np.zeros(size, np.uint8)
    for cell in cells:
        values[cell] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class TestCsvTable(FolderContract):
    annotations = ("pairs.csv", "masks/a-cup.png")
    images = "photos/*"
    options: ClassVar[dict[str, Any]] = {"keys": ("b",), "name": "mine"}
    malformed = (
        ("pairs.csv", b"image,mask\n"),
        ("pairs.csv", b"image,mask,phrase\n"),
        ("pairs.csv", b"\xff\xfe\x00"),
        ("pairs.csv", b'image,mask,phrase\nphotos/a.jpg,masks/b.png,"never closed\n'),
        ("masks/a-handle.png", None),
        ("masks/b.png", b"no image"),
        ("photos/b.png", None),
        ("photos/a.jpg", b"no image"),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "table"
        write_image(folder / "photos" / "a.jpg")
        write_image(folder / "photos" / "b.png", (3, 3), seed=1)
        write_mask(folder / "masks" / "a-cup.png", (0, 0), (0, 1))
        write_mask(folder / "masks" / "a-second.png", (3, 5))
        write_mask(folder / "masks" / "a-handle.png", (1, 1))
        write_mask(folder / "masks" / "b.png", (2, 2), size=(3, 3))
        write_lines(folder / "pairs.csv", *LINES)
        return folder

    def build(self, folder: Path, **options: Any) -> CsvTable:
        return CsvTable(folder / "pairs.csv", **options)

    def test_an_image_is_a_sample_with_all_its_phrases(self, folder: Path) -> None:
        first, second = samples(self.build(folder))

        assert (first.key, first.size, first.absent) == ("photos/a.jpg", (4, 6), ("spoon",))
        assert [query.prompt.name for query in first.queries] == ["the red cup", "a handle, left"]
        assert np.argwhere(first.queries[0].mask).tolist() == [[0, 0], [0, 1], [3, 5]]  # both lines of the cup
        assert np.argwhere(first.queries[1].mask).tolist() == [[1, 1]]
        assert (second.key, [query.prompt.name for query in second.queries]) == ("photos/b.png", ["leaf"])

    def test_images_are_chosen_and_ordered(self, folder: Path) -> None:
        assert [sample.key for sample in samples(self.build(folder, keys=("b", "photos/a.jpg")))] == [
            "photos/b.png", "photos/a.jpg",
        ]  # fmt: skip
        with pytest.raises(DataError, match="no image 'c' in"):
            self.build(folder, keys=("a", "c"))

    def test_bad_lines_are_left_out_and_listed(self, folder: Path) -> None:
        (folder / "masks" / "b.png").write_bytes(b"no image")
        (folder / "masks" / "a-handle.png").unlink()
        dataset = CsvTable(folder / "pairs.csv", skip_bad=True)
        (only,) = samples(dataset)
        assert np.argwhere(only.queries[0].mask).tolist() == [[0, 0], [0, 1], [3, 5]]
        assert len(dataset.problems) == 2
        assert all("pairs.csv" in problem for problem in dataset.problems)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("photos/a.jpg,masks/b.png,leaf", "line 2 of '.*pairs.csv' the file '.*b.png' with 3 x 3 pixels"),
            ("photos/a.jpg,masks/a-cup.png, ", "line 2 of '.*pairs.csv' a blank prompt"),
            ("photos/none.jpg,masks/a-cup.png,cup", "line 2 of '.*pairs.csv' no file '.*none.jpg'"),
            ("photos/a.jpg,masks/none.png,cup", "line 2 of '.*pairs.csv' no file '.*none.png'"),
            ("photos/a.jpg,masks/empty.png,cup", "line 2 of '.*pairs.csv' the file '.*empty.png' with nothing in it"),
            (
                "photos/a.jpg,masks/a-cup.png,spoon\nphotos/a.jpg,,spoon",
                r"line 3 of .* 'spoon' both there \(line 2\) and not",
            ),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, folder: Path, line: str, said: str) -> None:
        write_mask(folder / "masks" / "empty.png")
        write_lines(folder / "pairs.csv", LINES[0], line)
        with pytest.raises(DataError, match=said):
            samples(self.build(folder))
