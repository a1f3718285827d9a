"""Opening data by name or by what lies there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import write_image, write_labels
from tests.data.test_folder import write_set, write_things
from tests.data.test_hugging_face import Rows, image, label_map
from wordmask.contracts import Dataset
from wordmask.data.problems import problems_of
from wordmask.data.registry import NAMED_SETS, find_set, open_data, splits_of
from wordmask.errors import DataError

IN_FOLDERS = [name for name, entry in NAMED_SETS.items() if entry.needs_folder]


def write_csv(root: Path) -> Path:
    for key in ("a", "b", "c"):
        write_image(root / "photos" / f"{key}.png", (2, 3))
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 3), 255, np.uint8)).save(root / "masks" / f"{key}.png")
    lines = ["image,mask,phrase", *(f"photos/{key}.png,masks/{key}.png,cup {key}" for key in "abc")]
    (root / "pairs.csv").write_text("\n".join(lines))
    return root


def keys_of(dataset: Dataset) -> list[str]:
    return [dataset[index].key for index in range(len(dataset))]


def test_every_set_says_what_it_is() -> None:
    print(f"{len(NAMED_SETS)} sets")
    assert len(NAMED_SETS) >= 20
    for name, entry in NAMED_SETS.items():
        assert entry.name == name
        assert entry.title
        assert entry.licence
        assert entry.size
        assert entry.layout
        assert entry.splits
        assert len(set(entry.splits)) == len(entry.splits)


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_every_split_of_every_set_opens_a_reader_that_misses_its_folder(name: str, tmp_path: Path) -> None:
    for split in (None, *NAMED_SETS[name].splits):
        with pytest.raises(DataError, match=r"no-such-folder.*, expected .+: .+\."):
            open_data(tmp_path / "no-such-folder", dataset=name, split=split)
    with pytest.raises(DataError, match=f"no folder for {name.replace('+', '.')}, expected"):
        open_data(None, dataset=name)
    with pytest.raises(DataError, match=f"the split of {name.replace('+', '.')} 'never', expected one of"):
        open_data(tmp_path, dataset=name, split="never")


def test_generated_sets_need_no_folder() -> None:
    first, second = open_data(None, dataset="shapes"), open_data(None, dataset="shapes", seed=1)
    assert isinstance(first, Dataset)
    assert (len(first), first[0].key, second[0].key) == (200, "shapes-0-0", "shapes-1-0")
    train, val = (open_data(None, dataset="shapes", split=split) for split in ("train", "val"))
    assert (len(train), len(val)) == (2000, 200)
    assert len({train[0].key, val[0].key, first[0].key}) == 3


def test_a_folder_and_a_split_are_handed_on(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "training" / "a.jpg", (1, 2))
    write_labels(tmp_path / "annotations" / "training" / "a.png", [[1, 150]])
    dataset = open_data(tmp_path, dataset="ade20k-150", split="train")
    assert (dataset.name, dataset.split, len(dataset)) == ("ade20k-150", "train", 1)
    assert splits_of(tmp_path, dataset="ade20k-150") == ("val", "train")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the data set 'voc2013', expected one of ade20k-150, .*voc, voc-zero-shot: "):
        open_data(tmp_path, dataset="voc2013")
    with pytest.raises(DataError, match="no data, expected a folder"):
        open_data(None)
    assert find_set("refcocog").splits[0] == "umd-val"


@pytest.mark.parametrize("splits", [False, True])
def test_label_maps_with_and_without_splits(tmp_path: Path, splits: bool) -> None:
    folder = write_set(tmp_path / "pets", {"0": "background", "1": "dog", "2": "grass", "3": "cat"})
    if not splits:
        (folder / "splits.json").unlink()
    dataset = open_data(folder)
    assert (dataset.name, dataset.split) == ("pets", "val" if splits else "all")
    assert keys_of(dataset) == (["b", "a"] if splits else ["a", "b"])
    assert dataset[0].absent == ()
    assert open_data(folder, exhaustive=True)[0].absent == ("cat",)
    assert splits_of(folder) == (("train", "val") if splits else ())


@pytest.mark.parametrize("splits", [False, True])
def test_coco_json_with_and_without_splits(tmp_path: Path, splits: bool) -> None:
    folder = write_things(tmp_path / "things")
    if not splits:
        (folder / "splits.json").unlink()
    dataset = open_data(folder)
    assert keys_of(dataset) == (["b", "a"] if splits else ["a", "b"])
    assert {dataset[index].key: dataset[index].absent for index in (0, 1)} == {"a": (), "b": ("grass",)}
    assert keys_of(open_data(folder / "instances.json")) == ["a", "b"]


@pytest.mark.parametrize("splits", [False, True])
def test_tables_with_and_without_splits(tmp_path: Path, splits: bool) -> None:
    folder = write_csv(tmp_path)
    if splits:
        (folder / "splits.json").write_text(json.dumps({"a": ["photos/a.png"], "rest": ["c", "b"]}))
    assert keys_of(open_data(folder, split="rest" if splits else None)) == [
        f"photos/{key}.png" for key in ("cb" if splits else "abc")
    ]


def test_splits_of_any_name(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pets", {"1": "dog", "2": "grass", "0": "sky"})
    (folder / "splits.json").write_text(json.dumps({"early": ["a"], "late": ["b"]}))
    assert splits_of(folder) == ("early", "late")
    assert keys_of(open_data(folder, split="late")) == ["b"]
    assert keys_of(open_data(folder)) == ["a"]  # no usual name: the first
    everything = open_data(folder, split="all")
    assert (keys_of(everything), everything.split) == (["a", "b"], "all")
    with pytest.raises(DataError, match="the split of pets 'val', expected one of early, late"):
        open_data(folder, split="val")


def test_a_split_needs_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the split 'val' of .*, expected no split"):
        open_data(write_csv(tmp_path), split="val")
    assert len(open_data(tmp_path, split="all")) == 3


def test_what_is_wrong_is_left_out_and_listed(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    (folder / "masks" / "b.png").write_bytes(b"no image")
    dataset = open_data(folder)
    assert keys_of(dataset) == ["photos/a.png", "photos/c.png"]
    (problem,) = problems_of(dataset)
    assert "line 3 of" in problem
    assert problems_of(object()) == ()


def test_data_of_no_known_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which has none of the layouts that are read, expected a CSV table"):
        open_data(tmp_path)


def test_phrasecuts_own_folder_is_known(tmp_path: Path) -> None:
    (tmp_path / "image_data_split.json").write_text("[]")
    assert splits_of(tmp_path)[0] == "test"
    with pytest.raises(DataError, match=r"refer_val\.json"):
        open_data(tmp_path, split="val")


def test_a_set_of_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("datasets")
    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, *, split: str) -> Rows:
        asked.append((name, config, split))
        feature = type("ClassLabel", (), {"names": ["sky", "road"]})()
        return Rows([{"pixel_values": image(), "annotation": label_map()}], {"annotation": feature})

    library.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", library)
    dataset = open_data("owner/streets", dataset="huggingface", exhaustive=True)
    assert asked == [("owner/streets", None, "validation")]
    assert (dataset.name, dataset.names, dataset[0].key) == ("owner/streets", ("sky", "road"), "0")
    with pytest.raises(DataError, match="no name of a data set"):
        open_data(None, dataset="huggingface")


def test_the_documentation_lists_every_set() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8").split("<!-- named sets -->")[1]
    rows = {line.split("`")[1]: line for line in page.splitlines()[4:] if line}
    assert rows.keys() == NAMED_SETS.keys()
    for name, entry in NAMED_SETS.items():
        cells = [cell.strip() for cell in rows[name].split("|")[2:-1]]
        assert cells == [entry.title, entry.size, ", ".join(entry.splits), entry.layout, entry.licence]
