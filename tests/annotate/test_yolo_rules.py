"""YOLO exports, read by the rules of Ultralytics' loader, written down here: no file and no row is refused or dropped.

The rules are those of `verify_image_label` and `check_det_dataset` (ultralytics 8.4); `test_readers.py` runs the loader
itself where it is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.annotate.test_exports import SIZE, journal_of, shapes
from wordmask.annotate.exporting import export_all
from wordmask.annotate.exports.base import ExportOptions
from wordmask.annotate.labelled import LabelledSet

NAMES = ["ring", "two words", "ü, 'quoted'", "yes", "7"]


class Refused(Exception):
    """The loader would leave out a file or a row."""


def read_data(path: Path) -> dict[str, Any]:
    """Return `data.yaml`: both splits name folders of images, and the classes are texts numbered from 0."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    root = path.parent / data["path"]
    for split in ("train", "val"):
        if not (root / data[split]).is_dir():
            raise Refused(f"no folder {split}")
    if list(data["names"]) != list(range(len(data["names"]))) or not all(map(str, data["names"].values())):
        raise Refused("classes that are not numbered from 0")
    return data


def read_labels(image: Path, classes: int) -> list[tuple[int, np.ndarray]]:
    """Return the polygons of an image; its labels lie beside `images`, below `labels`."""
    with Image.open(image) as file:
        file.verify()
        if min(file.size) < 10 or file.format not in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
            raise Refused("an image that is too small, or of another kind")
    place = image.parents[2] / "labels" / image.parent.name / f"{image.stem}.txt"
    rows = [row.split() for row in place.read_text(encoding="utf-8").strip().splitlines() if row.strip()]
    if any(len(row) < 7 or len(row) % 2 == 0 for row in rows):
        raise Refused("a row that is no class with three points or more")
    found: list[tuple[int, np.ndarray]] = []
    keys: set[tuple[float, ...]] = set()
    for row in rows:
        points = np.array(row[1:], dtype=np.float32).reshape(-1, 2)
        number = float(row[0])
        if number % 1 or not 0 <= number < classes:
            raise Refused("a class that is not there")
        if not (points.min() >= 0 and points.max() <= 1):
            raise Refused("points outside the image")
        key = (number, *map(float, (*points.min(axis=0), *points.max(axis=0))))
        if key in keys:
            raise Refused("two rows of one class and box, of which older loaders drop one")
        keys.add(key)
        found.append((int(number), points))
    return found


def scattered(random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Masks of rectangles and noise, at borders and corners, some of them equal, some with hundreds of parts."""
    masks = []
    for name in random.choice(NAMES, size=random.integers(0, 7)):
        mask = random.random(SIZE) < random.choice([0.0, 0.02, 0.5])
        y, x = random.integers(0, SIZE[0]), random.integers(0, SIZE[1])
        mask[y : y + random.integers(1, 30), x : x + random.integers(1, 30)] = True
        masks += [(str(name), mask)] * int(random.integers(1, 3))
    return masks


@pytest.mark.parametrize("parts", ["bridge", "split"])
def test_every_file_and_every_row_is_accepted(tmp_path: Path, parts: Any) -> None:
    random = np.random.default_rng(3)
    images = [list(shapes().items()), [], *(scattered(random) for _ in range(14))]
    with journal_of(tmp_path, images) as journal:
        labelled = LabelledSet(journal)
        wanted = {image.name: [one.name for one in image.objects] for image in labelled}
        options = ExportOptions({"train": 0.7, "val": 0.3}, parts=parts)
        export_all(labelled, tmp_path / "out", ["yolo"], options)
    data = read_data(tmp_path / "out" / "yolo" / "data.yaml")
    read: dict[str, list[str]] = {}
    for image in sorted((tmp_path / "out" / "yolo" / "images").rglob("*.png")):
        found = read_labels(image, len(data["names"]))
        read[image.name] = [str(data["names"][number]) for number, _ in found]
    assert len(list((tmp_path / "out" / "yolo" / "labels").rglob("*.txt"))) == len(read) == 16
    assert sorted(map(str, read)) == sorted(Path(name).name for name in wanted)
    for name, objects in wanted.items():
        if parts == "bridge":
            assert read[Path(name).name] == objects
        else:
            assert set(read[Path(name).name]) == set(objects)


@pytest.mark.parametrize(
    "row",
    ["0 0.1 0.1 0.2 0.2", "9 0.1 0.1 0.2 0.2 0.3 0.3", "0 0.1 0.1 0.2 1.2 0.3 0.3", "0.5 0.1 0.1 0.2 0.2 0.3 0.3"],
)
def test_the_rules_refuse_what_is_wrong(tmp_path: Path, row: str) -> None:
    image, label = tmp_path / "images" / "train" / "a.png", tmp_path / "labels" / "train" / "a.txt"
    for path in (image, label):
        path.parent.mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(image)
    label.write_text(f"{row}\n")
    with pytest.raises(Refused):
        read_labels(image, 2)
