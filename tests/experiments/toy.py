"""Two tiny sets in the plain layout: coloured squares on noise, once as label maps and once as instances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from wordmask.ops import rle

COLOURS = {"red square": (220, 30, 30), "green-square": (30, 200, 40), "left square": (40, 60, 220)}
SETS = ("maps", "things")
SIDE = 48


def write_data(folder: Path, *, train: int = 4, val: int = 3, seed: int = 0) -> Path:
    """Write both sets; every picture has all three squares, one below the other."""
    for name in SETS:
        root = folder / name
        (root / "images").mkdir(parents=True)
        keys = [f"{split}{number}" for split, count in (("train", train), ("val", val)) for number in range(count)]
        pictures = {key: picture(np.random.default_rng([seed, number])) for number, key in enumerate(keys)}
        for key, (pixels, _) in pictures.items():
            Image.fromarray(pixels).save(root / "images" / f"{key}.jpg")
        splits = {split: [key for key in keys if key.startswith(split)] for split in ("train", "val")}
        (root / "splits.json").write_text(json.dumps(splits))
        masks = {key: found for key, (_, found) in pictures.items()}
        (_write_maps if name == "maps" else _write_things)(root, masks)
    return folder


def picture(random: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A picture of 48 x 60 pixels, and where the squares are."""
    pixels = random.integers(90, 130, (SIDE, SIDE + 12, 3), dtype=np.uint8)
    masks = {}
    for row, name in enumerate(COLOURS):
        left = 6 + int(random.integers(0, 24))
        mask = np.zeros(pixels.shape[:2], bool)
        mask[row * 16 + 1 : row * 16 + 15, left : left + 22] = True
        pixels[mask] = COLOURS[name]
        masks[name] = mask
    return pixels, masks


def _write_maps(root: Path, pictures: dict[str, dict[str, np.ndarray]]) -> None:
    (root / "labels").mkdir()
    for key, masks in pictures.items():
        labels = np.zeros(next(iter(masks.values())).shape, np.uint8)
        for value, mask in enumerate(masks.values(), start=1):
            labels[mask] = value
        Image.fromarray(labels).save(root / "labels" / f"{key}.png")
    names = {"0": "background", **{str(value): name for value, name in enumerate(COLOURS, start=1)}}
    (root / "classes.json").write_text(json.dumps(names))


def _write_things(root: Path, pictures: dict[str, dict[str, np.ndarray]]) -> None:
    numbers = {name: number for number, name in enumerate(COLOURS, start=1)}
    content: dict[str, list[dict[str, object]]] = {
        "images": [],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [],
    }
    for number, (key, masks) in enumerate(pictures.items()):
        height, width = next(iter(masks.values())).shape
        content["images"].append({"id": number, "file_name": f"{key}.jpg", "height": height, "width": width})
        for name, mask in masks.items():
            record = {"id": len(content["annotations"]), "image_id": number, "category_id": numbers[name]}
            content["annotations"].append({**record, "iscrowd": 0, "segmentation": rle.encode(mask)})
    (root / "instances.json").write_text(json.dumps(content))
