"""Training pictures in memory: uint8 pixels, a label map, and which name covers which labels.

Every set becomes the same thing: a `Shot` with pixels (H, W, 3), labels (H, W) and the name of each label value.
The pictures are resized once to at most `side` pixels and kept on disk as one file a set and split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from vocabulary import ALIKE, MERGED, SETS

IGNORE = 255
EXHAUSTIVE = {"celebamask", "camvid", "objects"}  # every pixel labelled: an absent name is truly absent


@dataclass
class Shot:
    """One picture.

    Attributes:
        source: the set it comes from.
        key: file stem.
        pixels: uint8 (H, W, 3) RGB.
        labels: uint8 (H, W); 0 = none of the names, 255 = unknown.
        atoms: label value -> name, those present in the picture.
        exhaustive: whether an absent name of the set is truly absent.
        ground: the set of the picture that this one's labelled things were put on; "" = they were not.
    """

    source: str
    key: str
    pixels: np.ndarray
    labels: np.ndarray
    atoms: dict[int, str]
    exhaustive: bool
    ground: str = ""

    def values(self, name: str) -> list[int]:
        """Label values a name covers in this picture; empty where it is absent."""
        parts = MERGED.get(self.source, {}).get(name)
        if parts == ["*"]:
            return list(self.atoms)
        return [v for v, n in self.atoms.items() if n == name or (parts is not None and n in parts)]

    def unclear(self, name: str) -> list[int]:
        """Label values that are neither the name nor safely something else (near synonyms, wholes of a part)."""
        groups = [g for g in ALIKE.get(self.source, []) if name in g]
        return [v for v, n in self.atoms.items() if n != name and any(n in g for g in groups)]


def _label_map_shot(
    folder: Path, source: str, key: str, classes: dict[int, str]
) -> tuple[np.ndarray, np.ndarray, dict[int, str], bool]:
    pixels = cv2.cvtColor(cv2.imread(str(folder / "images" / f"{key}.jpg")), cv2.COLOR_BGR2RGB)
    raw = cv2.imread(str(folder / "labels" / f"{key}.png"), cv2.IMREAD_UNCHANGED)
    if source in ("camvid", "facade"):  # value 0 is a name there: shift by one
        labels = np.where(raw == IGNORE, IGNORE, raw + 1).astype(np.uint8)
        names = {v + 1: n for v, n in classes.items() if v != IGNORE}
    else:
        labels, names = raw, {v: n for v, n in classes.items() if v not in (0, IGNORE)}
    present = {int(v): names[int(v)] for v in np.unique(labels) if v not in (0, IGNORE)}
    return pixels, labels, present, source in EXHAUSTIVE


def _instance_shots(folder: Path, source: str, chosen: set[str]):  # type: ignore[no-untyped-def]
    table = json.loads((folder / "instances.json").read_text())
    names = {c["id"]: c["name"] for c in table["categories"]}
    by_image: dict[int, list[dict]] = {}
    for annotation in table["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    for image in table["images"]:
        key = Path(image["file_name"]).stem
        if key not in chosen:
            continue
        pixels = cv2.cvtColor(cv2.imread(str(folder / "images" / image["file_name"])), cv2.COLOR_BGR2RGB)
        height, width = pixels.shape[:2]
        labels = np.zeros((height, width), np.uint8)
        present: dict[int, str] = {}
        values = {n: i + 1 for i, n in enumerate(sorted(set(names.values())))}
        for a in sorted(by_image.get(image["id"], []), key=lambda a: -a["area"]):  # small ones on top
            code = a["segmentation"]
            if isinstance(code, list):
                code = rle.merge(rle.frPyObjects(code, image["height"], image["width"]))
            elif isinstance(code["counts"], list):
                code = rle.frPyObjects(code, *code["size"])
            mask = rle.decode(code)
            if mask.shape != labels.shape:
                mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
            value = values[names[a["category_id"]]]
            labels[mask > 0] = IGNORE if a.get("iscrowd") and source != "coco" else value
            present[value] = names[a["category_id"]]
        yield (
            key,
            pixels,
            labels,
            {v: present[v] for v in map(int, np.unique(labels)) if v in present},
            bool(image.get("exhaustive")),
        )


def _shrink(pixels: np.ndarray, labels: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    scale = min(1.0, side / max(pixels.shape[:2]))
    size = (max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1))
    if labels.shape != pixels.shape[:2]:
        labels = cv2.resize(labels, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_NEAREST)
    if scale < 1:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    return pixels, labels


def read_set(data: Path, source: str, side: int, chosen: set[str]) -> list[Shot]:
    """The chosen pictures of a set."""
    folder = data / source
    if (folder / "instances.json").exists():
        rows = _instance_shots(folder, source, chosen)
    else:
        classes = {int(k): v for k, v in json.loads((folder / "classes.json").read_text()).items()}
        keys = [p.stem for p in sorted((folder / "images").glob("*.jpg")) if p.stem in chosen]
        rows = ((k, *_label_map_shot(folder, source, k, classes)) for k in keys)
    shots = []
    for key, pixels, labels, atoms, exhaustive in rows:
        pixels, labels = _shrink(pixels, labels, side)
        atoms = {v: n for v, n in atoms.items() if (labels == v).any()}
        shots.append(Shot(source, key, pixels, labels, atoms, exhaustive))
    return shots


def load_pictures(
    data: Path, cache: Path, split: str, *, side: int = 384, sets: tuple[str, ...] = SETS
) -> dict[str, list[Shot]]:
    """The pictures of a split, from the cache where it is there."""
    cache.mkdir(parents=True, exist_ok=True)
    result = {}
    for source in sets:
        chosen = set(json.loads((data / source / "splits.json").read_text())[split])
        path = cache / f"{source}-{split}-{side}.npz"
        if not path.exists():
            shots = read_set(data, source, side, chosen)
            shapes = np.array([s.labels.shape for s in shots])
            facts = [(s.key, {str(v): n for v, n in s.atoms.items()}, s.exhaustive) for s in shots]
            np.savez(
                path,
                shapes=shapes,
                facts=json.dumps(facts),
                pixels=np.concatenate([s.pixels.ravel() for s in shots]),
                labels=np.concatenate([s.labels.ravel() for s in shots]),
            )
        stored = np.load(path)
        pixels, labels, at = stored["pixels"], stored["labels"], 0
        shots = []
        for (height, width), (key, atoms, exhaustive) in zip(
            stored["shapes"], json.loads(str(stored["facts"])), strict=True
        ):
            count = int(height) * int(width)
            shots.append(
                Shot(
                    source,
                    key,
                    pixels[3 * at : 3 * (at + count)].reshape(height, width, 3),
                    labels[at : at + count].reshape(height, width),
                    {int(v): n for v, n in atoms.items()},
                    exhaustive,
                )
            )
            at += count
        result[source] = shots
    return result
