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

    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    def test_any_separator_and_capital_headers(self, folder: Path, separator: str) -> None:
        lines = [
            ("Phrase", " IMAGE", "Mask"),
            ("cup", "photos/a.jpg", "masks/a-cup.png"),
            ("spoon", "photos/a.jpg", ""),
        ]
        write_lines(folder / "pairs.csv", *(separator.join(line) for line in lines))
        (sample,) = samples(self.build(folder))
        assert ([query.label for query in sample.queries], sample.absent) == (["cup"], ("spoon",))

    def test_unicode_text_as_excel_saves_it(self, folder: Path) -> None:
        text = "image\tmask\tphrase\r\nphotos/a.jpg\tmasks/a-cup.png\tTürgriff\r\n"
        (folder / "pairs.csv").write_bytes(text.encode("utf-16"))
        (sample,) = samples(self.build(folder))
        assert [query.label for query in sample.queries] == ["Türgriff"]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("photos/a.jpg,masks/a-cup.png,the cup, which is red,", "line 2 of '.*' 5 cells .* expected 4"),
            ("photos/a.jpg,the cup", "line 2 of '.*' 2 cells"),
        ],
    )
    def test_lines_of_another_length_are_refused(self, folder: Path, line: str, said: str) -> None:
        write_lines(folder / "pairs.csv", "image,mask,phrase,note", line.replace("red,", "red,x"), LINES[2], ",,,")
        with pytest.raises(DataError, match=said):
            self.build(folder)
        dataset = self.build(folder, skip_bad=True)
        assert [row.line for row in dataset.rows] == [3]
        assert len(dataset.problems) == 1

    def test_columns_are_there_once(self, folder: Path) -> None:
        for header, said in (("image,mask", "no column 'phrase'"), ("image,mask,phrase,Mask", "2 columns 'mask'")):
            write_lines(folder / "pairs.csv", header, "photos/a.jpg,masks/a-cup.png,cup")
            with pytest.raises(DataError, match=said):
                self.build(folder)

    def test_one_image_and_one_phrase_in_several_spellings(self, folder: Path) -> None:
        write_lines(
            folder / "pairs.csv", "image,mask,phrase", "photos/a.jpg,masks/a-cup.png,The red  cup",
            "./photos/../photos/a.jpg,masks/a-second.png,the red cup",
        )  # fmt: skip
        (sample,) = samples(self.build(folder))
        assert [(query.label, query.packed.area) for query in sample.queries] == [("The red cup", 3)]

    @pytest.mark.parametrize("other", ["photos/a.jpg,,Spoon", "./photos/a.jpg,,spoon", "photos//a.jpg,,SPOON "])
    def test_a_thing_is_not_both_there_and_not(self, folder: Path, other: str) -> None:
        write_lines(
            folder / "pairs.csv", "image,mask,phrase", "photos/a.jpg,masks/a-cup.png,spoon", other,
            "photos/b.png,masks/b.png,leaf",
        )  # fmt: skip
        with pytest.raises(DataError, match=r"line 3 of .* both there \(line 2\) and not there"):
            samples(self.build(folder))
        dataset = self.build(folder, skip_bad=True)
        assert [sample.key for sample in samples(dataset)] == ["photos/b.png"]
        assert len(dataset.problems) == 1

    def test_a_bad_mask_takes_the_other_lines_of_its_phrase_along(self, folder: Path) -> None:
        (folder / "masks" / "a-second.png").unlink()
        dataset = self.build(folder, skip_bad=True)
        assert [query.label for query in dataset[0].queries] == ["a handle, left"]
        assert len(dataset.problems) == 1

    def test_an_empty_mask_is_not_to_be_left_out(self, folder: Path) -> None:
        write_mask(folder / "masks" / "b.png", size=(3, 3))
        with pytest.raises(DataError, match="draw the object, or take the line out"):
            self.build(folder)[1]
