"""The user's own data: every shape that is read, and what is said about data that are wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.train.pictures import write_coco, write_labels, write_table
from wordmask.errors import DataError
from wordmask.train.data import DataChoice, Lessons, open_lessons
from wordmask.train.recipes import finetune, with_changes


def lessons(path: Path, *, skip_bad: bool = False, scratch: Path = Path("none"), **choice: Any) -> Lessons:
    return open_lessons(DataChoice(path, **choice), finetune(), skip_bad=skip_bad, scratch=scratch)


def add_line(table: Path, *values: str) -> None:
    with table.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(values)


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_table(tmp_path: Path, named: str) -> None:
    table = write_table(tmp_path / "my", 4)
    read = lessons(table if named == "file" else table.parent)
    assert (read.usable, read.valid, read.left_out) == ((0, 1, 2, 3), None, ())
    assert len(read.train[0].queries) == 2
    assert len(read.train[0].absent) == 1


@pytest.mark.parametrize("named", ["file", "folder"])
def test_coco_json(tmp_path: Path, named: str) -> None:
    file = write_coco(tmp_path / "my")
    read = lessons(file if named == "file" else file.parent)
    assert read.usable == (0, 1, 2, 3)
    assert read.train[0].absent == ()
    assert len(lessons(file, exhaustive=True).train[0].absent) == 2


def test_label_maps(tmp_path: Path) -> None:
    read = lessons(write_labels(tmp_path / "my"), exhaustive=True)
    assert read.usable == (0, 1, 2, 3)
    assert read.train.names == ("red", "green", "blue", "white")
    assert len(read.train[0].absent) == 2


def test_the_plain_layout_brings_its_own_validation(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 6)
    (folder / "splits.json").write_text(json.dumps({"train": ["0", "1", "2"], "val": ["3", "4"]}))
    read = lessons(folder)
    assert (read.usable, read.judged) == ((0, 1, 2), (0, 1))
    assert read.valid is not None
    assert [read.valid[index].key for index in read.judged] == ["3", "4"]


def test_some_pictures_are_held_out_where_there_are_no_others(tmp_path: Path) -> None:
    read = lessons(write_table(tmp_path / "my", 20))
    assert len(read.judged) == 2
    assert sorted((*read.usable, *read.judged)) == list(range(20))
    assert read.valid is read.train
    assert lessons(tmp_path / "my").judged == read.judged  # the same at every start


def test_other_data_for_validation(tmp_path: Path) -> None:
    read = lessons(write_table(tmp_path / "my", 20), valid=write_labels(tmp_path / "other", 3))
    assert (len(read.usable), read.judged) == (20, (0, 1, 2))


def test_bad_lines_of_a_table(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)  # 9 lines and the header
    Image.fromarray(np.full((60, 60), 255, np.uint8)).save(table.parent / "masks" / "large.png")
    (table.parent / "photos" / "bad.png").write_bytes(b"no picture")
    photo, mask = "photos/0.png", "masks/large.png"
    add_line(table, photo, mask, "thing")
    add_line(table, photo, "", " ")
    add_line(table, photo, "masks/none.png", "thing")
    add_line(table, "photos/bad.png", mask, "thing")
    wrong = [
        "line 11 of '.*pairs.csv' the file '.*large.png' with 60 x 60 pixels",
        "line 12 of '.*pairs.csv' a blank prompt",
        "line 13 of '.*pairs.csv' no file '.*none.png'",
        "line 14 of '.*pairs.csv' the file '.*bad.png' with contents that are no image",
    ]

    with pytest.raises(DataError, match=r"data with 4 problems") as caught:
        lessons(table)
    read = lessons(table, skip_bad=True)

    assert len(read.left_out) == 4
    for number, said in enumerate(wrong):
        with pytest.raises(DataError, match=said):
            raise DataError(read.left_out[number])
        assert read.left_out[number] in str(caught.value)
    assert len(read.usable) == 3
    assert [len(read.train[index].queries) for index in read.usable] == [2, 2, 2]


def test_a_picture_that_is_cut_short_is_found_before_the_training(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)
    photo = table.parent / "photos" / "1.png"
    photo.write_bytes(photo.read_bytes()[:2000])  # the header is sound

    with pytest.raises(DataError, match=r"1 problem.*") as caught:
        lessons(table)
    assert "1.png" in str(caught.value)
    assert lessons(table, skip_bad=True).usable == (0, 2)


def test_unknown_classes_and_wrong_sizes_in_coco_json(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "my")
    content = json.loads(file.read_text())
    content["annotations"][1]["category_id"] = 99
    content["images"][2]["height"] = 500
    file.write_text(json.dumps(content))

    with pytest.raises(DataError, match="2 problems") as caught:
        lessons(file, scratch=tmp_path / "run")
    assert "the unknown category 99 in annotation 1" in str(caught.value)
    assert "2.png" in str(caught.value)

    read = lessons(file, skip_bad=True, scratch=tmp_path / "run")
    assert (read.usable, len(read.left_out)) == ((0, 1, 3), 2)
    assert [len(read.train[index].queries) for index in read.usable] == [1, 2, 2]
    assert json.loads(file.read_text()) == content  # the user's file is as it was


def test_unknown_values_and_missing_partners_of_label_maps(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 5)
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(folder / "labels" / "1.png")
    Image.fromarray(np.zeros((50, 48), np.uint8)).save(folder / "labels" / "2.png")
    (folder / "labels" / "3.png").unlink()

    with pytest.raises(DataError, match="3 problems") as caught:
        lessons(folder)
    said = str(caught.value)
    assert "77" in said
    assert "labels/1.png" in said
    assert "images/2.png" in said
    assert "images/3.png" in said
    read = lessons(folder, skip_bad=True)
    assert [read.train[index].key for index in read.usable] == ["0", "4"]


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 1)
    for _ in range(14):
        add_line(table, "photos/0.png", "", "")
    with pytest.raises(DataError, match="… and 4 more"):
        lessons(table)


def test_nothing_left_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 2)
    for photo in (table.parent / "photos").iterdir():
        photo.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"photos/0\.png"):
        lessons(table, skip_bad=True)


@pytest.mark.parametrize("name", ["none", "empty"])
def test_data_of_no_known_shape(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{name}'.*expected a CSV table, a COCO JSON file, or a folder"):
        lessons(tmp_path / name)


def test_two_tables_are_one_too_many(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 2)
    (table.parent / "other.csv").write_text("image,mask,phrase\n")
    with pytest.raises(DataError, match="2 tables in"):
        lessons(table.parent)


def test_a_validation_looks_at_no_more_than_asked(tmp_path: Path) -> None:
    recipe = with_changes(finetune(), {"holdout": 0.5, "valid_limit": 4})
    choice = DataChoice(write_table(tmp_path / "my", 20))
    assert len(open_lessons(choice, recipe, skip_bad=False, scratch=tmp_path).judged) == 4
