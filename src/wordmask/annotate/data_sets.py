"""Labelled data sets as inputs of a job: COCO and YOLO with their labels, rows of the library datasets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.annotate.sources import GivenLabel, ImageSource, Inputs, RowImage
from wordmask.errors import DataError, MissingExtraError, installing, quote, sentence
from wordmask.formats.coco import image_root
from wordmask.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_coco", "add_hugging_face", "add_yolo"]


def add_coco(file: Path, inputs: Inputs) -> None:
    """Add the images and the annotations of a COCO file, as they are.

    Raises:
        DataError: If it is none.
    """
    try:
        content = json.loads(file.read_bytes())
        names = {one["id"]: str(one["name"]) for one in content.get("categories", [])}
        folder = _image_folder(file)
        places = {
            one["id"]: ImageSource(os.path.abspath(_existing(folder, file.parent, str(one["file_name"]))))
            for one in content["images"]
        }
        for annotation in content.get("annotations", []):
            record = {key: value for key, value in annotation.items() if key not in ("id", "image_id", "category_id")}
            given = GivenLabel(names[annotation["category_id"]], record)
            inputs.labels.setdefault(places[annotation["image_id"]].uri, []).append(given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = f"the file {quote(file)} ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
        expected = "COCO annotations with images, categories and annotations"
        raise DataError(sentence(got, expected, "correct it, or name the folder of images")) from error
    inputs.add(list(places.values()))
    inputs.names = list(dict.fromkeys((*inputs.names, *names.values())))
    inputs.licences += [one for one in content.get("licenses", []) if isinstance(one, dict)]


def _image_folder(file: Path) -> Path:
    beside = image_root(file) or file.parent / "images"
    return beside if beside.is_dir() else file.parent


def _existing(folder: Path, parent: Path, name: str) -> Path:
    inside = folder / name
    return inside if inside.exists() or not (parent / name).exists() else parent / name


def add_yolo(file: Path, inputs: Inputs) -> None:
    """Add the images of a YOLO data set and its polygons and boxes.

    Raises:
        DataError: If `data.yaml` has no names, or a line of labels is malformed.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        root = Path(content.get("path") or ".")
        root = root if root.is_absolute() else file.parent / root
        names = content["names"]
        names = dict(enumerate(names)) if isinstance(names, list) else {int(k): str(v) for k, v in names.items()}
        parts = [content[key] for key in ("train", "val", "test") if content.get(key)]
        folders = [root / one for part in parts for one in (part if isinstance(part, list) else [part])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        got = f"the file {quote(file)} ({' '.join(str(error).split())[:80]})"
        raise DataError(sentence(got, "YOLO's data.yaml with names and train or val", "correct it")) from error
    for folder in folders:
        for path in _listed_images(folder, root):
            source = ImageSource(os.path.abspath(path))
            inputs.add([source])
            inputs.labels.setdefault(source.uri, []).extend(_yolo_labels(path, names))
    inputs.names = list(dict.fromkeys((*inputs.names, *map(str, names.values()))))


def _listed_images(place: Path, root: Path) -> list[Path]:
    if place.is_file():
        lines = place.read_text(encoding="utf-8").split("\n")
        return [root / line.strip() for line in lines if line.strip()]
    return sorted(path for path in place.rglob("*") if path.name.lower().endswith(IMAGE_SUFFIXES))


def _yolo_labels(image: Path, names: dict[int, str]) -> list[GivenLabel]:
    """Labels of one image; coordinates stay fractions under the key `yolo`, since the size is not known yet."""
    parts = list(image.parts)
    if "images" not in parts:
        return []
    place = len(parts) - 1 - parts[::-1].index("images")
    file = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
    if not file.is_file():
        return []
    labels = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            index, *values = line.split()
            if line.strip():
                labels.append(GivenLabel(names[int(index)], {"yolo": [float(value) for value in values]}))
        except (ValueError, KeyError) as error:
            got = f"line {number} of {quote(file)}: {quote(line)}"
            raise DataError(sentence(got, "a class and coordinates", "correct the line")) from error
    return labels


def add_hugging_face(address: str, inputs: Inputs) -> None:
    """Add the images of a data set of the library datasets: `owner/name`, a folder, with `#split`.

    Raises:
        MissingExtraError: If the library is not installed.
        DataError: If the data set cannot be opened or has no images.
    """
    try:
        import datasets
    except ImportError as error:
        got = f"the data set {quote(address)}"
        raise MissingExtraError(sentence(got, "the library datasets", installing("hf-datasets"))) from error
    path, _, split = address.partition("#")
    try:
        rows: Any = datasets.load_dataset(path, split=split or "train")
    except Exception as error:
        got = f"the data set {quote(address)} ({' '.join(str(error).split())[:80]})"
        raise DataError(sentence(got, "a data set that the library datasets opens", "check its name")) from error
    columns = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    if not columns:
        raise DataError(sentence(f"the data set {quote(address)}", "a column of images", "choose another"))
    rows = rows.cast_column(columns[0], datasets.Image(decode=False))
    start = f"hf:{path}#{split or 'train'}"
    about = str(getattr(rows, "_fingerprint", "")) if not Path(path).exists() else ""
    inputs.add([RowImage(f"{start}/{n:08d}.jpg", _fetch(rows, columns[0], n), about) for n in range(len(rows))])


def _fetch(rows: Any, column: str, number: int) -> Callable[[], bytes]:
    def fetch() -> bytes:
        cell = rows[number][column]
        return bytes(cell["bytes"]) if cell.get("bytes") else Path(cell["path"]).read_bytes()

    return fetch
