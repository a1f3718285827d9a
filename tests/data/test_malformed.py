"""Malformed data sets, made from sound ones with a fixed seed: every failure is a `WordmaskError`.

By hand, many more: `WORDMASK_FUZZ=10000 pytest tests/data/test_malformed.py`.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import write_image, write_labels
from wordmask.contracts import Dataset
from wordmask.data.problems import problems_of
from wordmask.data.registry import open_data, splits_of
from wordmask.errors import WordmaskError
from wordmask.images import load_image
from wordmask.training.inspection import inspect

CASES = int(os.environ.get("WORDMASK_FUZZ", "150"))
"""Malformed variants of each layout."""
SIZE = (16, 24)
SQUARE = [2, 2, 10, 2, 10, 9, 2, 9]
HUGE = 10**400
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2.5, 1e9, 1e300, HUGE, -HUGE, float("nan"), float("inf"), "", "0", "cup", "\x00", "\ud800",
    "x" * 5000, "../" * 200, "/", ".", "..", "a.png", [], {}, [[]], [None], ["cup"], [1, 2], [SQUARE], {"id": 1},
    {"size": list(SIZE), "counts": [0, HUGE]}, {"size": list(SIZE), "counts": "~"}, {"size": [10**9, 10**9]},
    [[1e9, 0, 5, 5, 0, 5]], [[1e7, 0, 5, 5, -1e7, 5]], [[3, 3, 3, 3, 3, 3]], 255, 65536, 10**6,
)  # fmt: skip
TEXTS = (
    "", ",", ";", "\t", '"', "\n", "\r", "\x00", "\ufeff", "\u2028", "x" * 3000, "./", "../", "../" * 100, "a.png",
    "m.png", "m\\m.png", "cup", "CUP ", "mask", "image", ",,,,", "\ud7ff", "255", "nan",
)  # fmt: skip


def coco() -> dict[str, Any]:
    images = [{"id": number, "file_name": f"{name}.png", "height": 16, "width": 24} for number, name in enumerate("ab")]
    annotation = {"category_id": 1, "bbox": [2, 2, 8, 7], "area": 56, "iscrowd": 0}
    runs = {"size": list(SIZE), "counts": [50, 8, 326]}
    return {
        "images": images,
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "spoon"}],
        "annotations": [
            {"id": 1, "image_id": 0, "segmentation": [SQUARE], **annotation},
            {"id": 2, "image_id": 1, "segmentation": runs, **annotation, "category_id": 2},
            {"id": 3, "image_id": 1, "segmentation": [SQUARE], **annotation, "iscrowd": 1},
        ],
    }


def weak() -> dict[str, Any]:
    record = {"size": [24, 16], "boxes": [["cup", 2, 2, 10, 9]], "exhaustive_boxes_for": None, "labels": ["cup"]}
    return {"a": record, "b": {**record, "captions": ["A cup."]}}


def write_images(folder: Path, ending: str = "png") -> Path:
    for seed, name in enumerate("ab"):
        write_image(folder / "images" / f"{name}.{ending}", SIZE, seed=seed)
    return folder


def square() -> np.ndarray:
    values = np.zeros(SIZE, np.uint8)
    values[2:9, 2:10] = 1
    return values


def mutated(value: Any, random: np.random.Generator) -> Any:
    """A copy of JSON values in which one to three places hold something else, are gone or come twice."""
    value = copy.deepcopy(value)
    for _ in range(int(random.integers(1, 4))):
        places = list(_places(value))
        if not places:
            break
        parent, key = places[int(random.integers(len(places)))]
        how = int(random.integers(4))
        other = VALUES[int(random.integers(len(VALUES)))]
        if how == 0:
            del parent[key]
        elif how == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif how == 1:
            parent[str(other)[:40]] = parent.pop(key)
        else:
            parent[key] = copy.deepcopy(other)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, one in inside:
        yield value, key
        yield from _places(one)


def garbled(text: str, random: np.random.Generator) -> bytes:
    """A text in which one to four spans are replaced."""
    for _ in range(int(random.integers(1, 5))):
        start = int(random.integers(len(text) + 1))
        stop = start + int(random.integers(0, 4))
        text = text[:start] + TEXTS[int(random.integers(len(TEXTS)))] + text[stop:]
    return text.encode("utf-16" if random.random() < 0.03 else "utf-8", "surrogatepass")


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """A file cut short, or with some bytes changed."""
    if random.random() < 0.4:
        return content[: int(random.integers(len(content)))]
    values = bytearray(content)
    for place in random.integers(0, len(values), 8):
        values[place] = int(random.integers(256))
    return bytes(values)


def strange_mask(path: Path, random: np.random.Generator) -> None:
    """A mask or label map of any mode, size and values."""
    size = SIZE if random.random() < 0.7 else tuple(random.integers(1, 30, 2))
    mode = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I", "F", "CMYK")[int(random.integers(11))]
    values = random.integers(0, int(random.choice([1, 2, 3, 40, 256])), size)
    if mode == "I;16":
        image = Image.fromarray((values * int(random.choice([1, 257]))).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray((values / random.choice([1.0, 255.0])).astype(np.float32))
    else:
        image = Image.fromarray(values.astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = int(random.integers(10))
    options = {"exif": exif} if random.random() < 0.3 else {}
    image.save(path, format="TIFF" if mode in {"F", "CMYK", "PA", "I"} else "PNG", **options)


# --- the layouts ---------------------------------------------------------------------------------------------------


def coco_variant(folder: Path, random: np.random.Generator) -> Path:
    write_images(folder)
    (folder / "instances.json").write_bytes(json.dumps(mutated(coco(), random)).encode("utf-8", "surrogatepass"))
    if random.random() < 0.3:
        (folder / "splits.json").write_text(json.dumps(mutated({"train": ["a", "b.png"], "val": ["b"]}, random)))
    return folder


def csv_variant(folder: Path, random: np.random.Generator) -> Path:
    write_images(folder)
    Image.fromarray(square() * 255).save(folder / "m.png")
    if random.random() < 0.5:
        strange_mask(folder / "m.png", random)
    table = "image,mask,phrase\nimages/a.png,m.png,cup\nimages/a.png,,spoon\nimages/b.png,m.png,a cup\n"
    content = garbled(table, random) if random.random() < 0.7 else damaged(table.encode(), random)
    (folder / "pairs.csv").write_bytes(content)
    return folder / "pairs.csv"


def label_variant(folder: Path, random: np.random.Generator) -> Path:
    write_images(folder)
    for name in "ab":
        write_labels(folder / "labels" / f"{name}.png", square() * int(random.integers(3)))
    classes: Any = {"0": "background", "1": "cup", "2": "spoon", "exhaustive": True}
    chosen = int(random.integers(4))
    if chosen == 0:
        strange_mask(folder / "labels" / "a.png", random)
    elif chosen == 1:
        name = ("images/a.png", "labels/a.png")[int(random.integers(2))]
        (folder / name).write_bytes(damaged((folder / name).read_bytes(), random))
    else:
        classes = mutated(classes, random)
    (folder / "classes.json").write_text(json.dumps(classes))
    if random.random() < 0.5:
        (folder / "splits.json").write_text(json.dumps(mutated({"train": ["a", "b.jpg"], "val": ["b"]}, random)))
    return folder


def weak_variant(folder: Path, random: np.random.Generator) -> Path:
    write_images(folder, "jpg")
    (folder / "weak.json").write_text(json.dumps(mutated(weak(), random)))
    return folder


def read_all(path: Path) -> None:
    """Open data as training and evaluation do, and read every sample."""
    parts = splits_of(path)
    for split in (None, *parts[:1]):
        dataset: Dataset = open_data(path, split=split)
        assert all(problem.startswith("Got ") and problem.endswith(".") for problem in problems_of(dataset))
        for index in inspect(dataset).usable:
            sample = dataset[index]
            assert load_image(sample.image).size == sample.size
            assert all(query.packed.area for query in sample.queries)
            assert not {query.label for query in sample.queries} & set(sample.absent)
        assert dataset.fingerprint


@pytest.mark.filterwarnings("ignore")  # Pillow's about damaged images
@pytest.mark.parametrize("variant", [coco_variant, csv_variant, label_variant, weak_variant])
def test_whatever_is_wrong_is_said_in_a_sentence(
    variant: Callable[[Path, np.random.Generator], Path], tmp_path: Path
) -> None:
    sound, said = 0, []
    for case in range(CASES):
        folder = tmp_path / f"set-{case}"
        try:
            read_all(variant(folder, np.random.default_rng([1, case])))
            sound += 1
        except WordmaskError as error:
            said.append(str(error))
        shutil.rmtree(folder)
    assert said
    assert sound
    assert all(text.startswith("Got ") for text in said)
