"""The user's own data: every shape that is read, and what is said about data that are wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.inputs import ImageModel, open_samples, write_coco, write_labels, write_table
from wordmask.errors import DataError
from wordmask.training.data import DataChoice, TrainingData
from wordmask.training.recipe import with_changes
from wordmask.training.recipes.finetune import finetune


def opened(path: Path, *, skip_bad: bool = False, **choice: Any) -> TrainingData:
    return open_samples(path, finetune(), skip_bad=skip_bad, **choice)


def usable(data: TrainingData) -> tuple[int, ...]:
    return data.sample.indices


def validated(data: TrainingData) -> tuple[int, ...]:
    assert data.validation is not None
    return data.validation.indices


def add_line(table: Path, *values: str) -> None:
    with table.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(values)


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_table(tmp_path: Path, named: str) -> None:
    table = write_table(tmp_path / "my", 4)
    read = opened(table if named == "file" else table.parent)
    assert (usable(read), read.validation, read.left_out) == ((0, 1, 2, 3), None, ())
    assert len(read.sample.dataset[0].queries) == 2
    assert len(read.sample.dataset[0].absent) == 1


@pytest.mark.parametrize("named", ["file", "folder"])
def test_coco_json(tmp_path: Path, named: str) -> None:
    file = write_coco(tmp_path / "my")
    read = opened(file if named == "file" else file.parent)
    assert usable(read) == (0, 1, 2, 3)
    assert read.sample.dataset[0].absent == ()
    assert len(opened(file, exhaustive=True).sample.dataset[0].absent) == 2


def test_label_maps(tmp_path: Path) -> None:
    read = opened(write_labels(tmp_path / "my"), exhaustive=True)
    assert usable(read) == (0, 1, 2, 3)
    assert read.sample.dataset.names == ("red", "green", "blue", "white")
    assert len(read.sample.dataset[0].absent) == 2


def test_a_folder_with_splits_brings_its_own_validation(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 6)
    (folder / "splits.json").write_text(json.dumps({"train": ["0", "1", "2"], "val": ["3", "4"]}))
    read = opened(folder)
    assert (usable(read), validated(read)) == ((0, 1, 2), (0, 1))
    assert read.validation is not None
    assert [read.validation.dataset[index].key for index in validated(read)] == ["3", "4"]


def test_some_images_are_held_out_where_there_are_no_others(tmp_path: Path) -> None:
    read = opened(write_table(tmp_path / "my", 20))
    assert len(validated(read)) == 2
    assert sorted((*usable(read), *validated(read))) == list(range(20))
    assert validated(opened(tmp_path / "my")) == validated(read)  # the same at every start


def test_other_data_for_validation(tmp_path: Path) -> None:
    read = opened(write_table(tmp_path / "my", 20, seed=1), valid=write_labels(tmp_path / "other", 3))
    assert (len(usable(read)), validated(read)) == (20, (0, 1, 2))


def test_bad_lines_of_a_table(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)  # 9 lines and the header
    Image.fromarray(np.full((60, 60), 255, np.uint8)).save(table.parent / "masks" / "large.png")
    (table.parent / "photos" / "bad.png").write_bytes(b"no image")
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
        opened(table)
    read = opened(table, skip_bad=True)

    assert len(read.left_out) == 4
    for number, said in enumerate(wrong):
        with pytest.raises(DataError, match=said):
            raise DataError(read.left_out[number])
        assert read.left_out[number] in str(caught.value)
    assert len(usable(read)) == 3
    assert [len(read.sample.dataset[index].queries) for index in usable(read)] == [2, 2, 2]


def test_an_image_that_is_cut_short_is_found_before_the_training(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 3)
    photo = table.parent / "photos" / "1.png"
    photo.write_bytes(photo.read_bytes()[:2000])  # the header is sound

    with pytest.raises(DataError, match=r"1 problem.*") as caught:
        opened(table)
    assert "1.png" in str(caught.value)
    assert opened(table, skip_bad=True).sample.indices == (0, 2)


def test_unknown_classes_and_wrong_sizes_in_coco_json(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "my")
    content = json.loads(file.read_text())
    content["annotations"][1]["category_id"] = 99
    content["images"][2]["height"] = 500
    file.write_text(json.dumps(content))

    with pytest.raises(DataError, match="2 problems") as caught:
        opened(file)
    assert "the unknown category 99 in annotation 1" in str(caught.value)
    assert "2.png" in str(caught.value)

    read = opened(file, skip_bad=True)
    assert (usable(read), len(read.left_out)) == ((0, 1, 3), 2)
    assert [len(read.sample.dataset[index].queries) for index in usable(read)] == [1, 2, 2]
    assert json.loads(file.read_text()) == content  # the user's file is as it was


def test_unknown_values_and_missing_partners_of_label_maps(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my", 5)
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(folder / "labels" / "1.png")
    Image.fromarray(np.zeros((50, 48), np.uint8)).save(folder / "labels" / "2.png")
    (folder / "labels" / "3.png").unlink()

    with pytest.raises(DataError, match="3 problems") as caught:
        opened(folder)
    said = str(caught.value)
    assert "77" in said
    assert "labels/1.png" in said
    assert "images/2.png" in said
    assert "images/3.png" in said
    read = opened(folder, skip_bad=True)
    assert [read.sample.dataset[index].key for index in usable(read)] == ["0", "4"]


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 1)
    for _ in range(14):
        add_line(table, "photos/0.png", "", "")
    with pytest.raises(DataError, match="… and 4 more"):
        opened(table)


def test_nothing_left_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 2)
    for photo in (table.parent / "photos").iterdir():
        photo.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photos/0\.png"):
        opened(table, skip_bad=True)


def test_the_box_of_a_thing_without_a_mask_is_no_background(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "my")
    content = json.loads(file.read_text())
    first = content["annotations"][0]
    content["annotations"].append({**first, "id": 99, "segmentation": [], "bbox": [1, 2, 3, 4]})
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="no mask in annotation '99'"):
        opened(file)
    read = opened(file, skip_bad=True)
    assert len(read.left_out) == 1
    ignored = read.sample.dataset[0].ignored
    assert ignored is not None
    assert ignored.window == (1, 2, 4, 6)


def test_data_without_any_mask_have_a_sentence_of_their_own(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "my")
    for path in (folder / "labels").iterdir():
        Image.fromarray(np.full_like(np.asarray(Image.open(path)), 255)).save(path)
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=r"no mask in any image of .*my'.* 255 means ignore"):
            opened(folder, skip_bad=skip_bad)


@pytest.mark.parametrize("name", ["none", "empty"])
def test_data_of_no_known_shape(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{name}'.*expected a CSV table, a COCO JSON file, or a folder"):
        opened(tmp_path / name)


def test_two_tables_are_one_too_many(tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 2)
    (table.parent / "other.csv").write_text("image,mask,phrase\n")
    with pytest.raises(DataError, match="2 tables in"):
        opened(table.parent)


def test_a_validation_takes_no_more_images_than_asked(tmp_path: Path) -> None:
    recipe = with_changes(finetune(), {"holdout": 0.5, "valid_limit": 4})
    data = open_samples(write_table(tmp_path / "my", 20), recipe)
    assert len(validated(data)) == 4


def test_images_are_decoded_once_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wordmask.training import inspection

    read: list[object] = []
    load = inspection.load_image
    monkeypatch.setattr(inspection, "load_image", lambda image: read.append(image) or load(image))
    data = opened(write_table(tmp_path / "my", 6))
    samples: list[int] = []
    table = type(data.sample.dataset)
    real = table.__getitem__
    monkeypatch.setattr(table, "__getitem__", lambda self, index: samples.append(index) or real(self, index))
    assert len(list(data.train.phrases())) == 4
    assert (len(read), samples) == (6, [])  # phrases are known from the inspection


@pytest.mark.filterwarnings("ignore::wordmask.errors.WordmaskWarning")  # it is validated on what it is trained on
def test_a_generated_data_set_needs_no_folder() -> None:
    chosen = with_changes(finetune(), {"valid_limit": 3})
    chosen_data = DataChoice(None, dataset="shapes", split="val", valid_split="val")
    model: Any = ImageModel()
    data = chosen.data.open(chosen_data, model, chosen.schedule, skip_bad=False, scratch=Path("none"))
    assert data.train.images == len(usable(data)) > 100
    assert data.validation is not None
    assert len(data.validation.indices) == 3
