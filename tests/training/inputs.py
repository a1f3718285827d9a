"""Tiny models, tiny images and data to train on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.methods.checkpoints import write_clipseg
from wordmask.batch import Batch, Place
from wordmask.contracts import Trainable
from wordmask.data.sample import Sample
from wordmask.methods.compact.network import CompactConfig, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import save_compact
from wordmask.training.data import DataChoice, TrainingData
from wordmask.training.recipe import Recipe

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "white": (245, 245, 245)}
SMALL = CompactConfig(
    widths=(8, 8, 16, 32), depths=(1, 1, 1, 1), attention=1, channels=8, fine=8, pixel=8, decoder=8, condition=16,
    tokens=32, text_width=48, text_depth=1,
)  # fmt: skip


def squares(count: int, side: int = 48, *, seed: int = 0) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Images of noise with two squares of different colours, and each square's mask by its colour."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        pixels = random.integers(90, 130, (side, side, 3), dtype=np.uint8)
        masks = {}
        for half, name in enumerate(random.permutation(list(COLOURS))[:2]):
            mask = np.zeros((side, side), bool)
            width = side // 3
            top, left = int(random.integers(0, side - width)), half * (side // 2) + int(random.integers(0, 4))
            mask[top : top + width, left : left + width] = True
            pixels[mask] = COLOURS[str(name)]
            masks[str(name)] = mask
        made.append((pixels, masks))
    return made


def write_table(folder: Path, count: int = 8, side: int = 48, *, seed: int = 0) -> Path:
    """Write images, masks and pairs.csv, each image with two colours that are present and one that is absent."""
    rows = []
    (folder / "photos").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number, (pixels, masks) in enumerate(squares(count, side, seed=seed)):
        photo = f"photos/{number}.png"
        Image.fromarray(pixels).save(folder / photo)
        for name, mask in masks.items():
            path = f"masks/{number}-{name}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / path)
            rows.append((photo, path, f"{name} square"))
        missing = next(name for name in COLOURS if name not in masks)
        rows.append((photo, "", f"{missing} square"))
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "mask", "phrase"), *rows])
    return folder / "pairs.csv"


def write_labels(folder: Path, count: int = 4, side: int = 48) -> Path:
    """Write images, label maps and classes.json."""
    values = {name: number + 1 for number, name in enumerate(COLOURS)}
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number, (pixels, masks) in enumerate(squares(count, side)):
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        labels = np.zeros((side, side), np.uint8)
        for name, mask in masks.items():
            labels[mask] = values[name]
        Image.fromarray(labels).save(folder / "labels" / f"{number}.png")
    named = {"0": "background", **{str(value): name for name, value in values.items()}}
    (folder / "classes.json").write_text(json.dumps(named))
    return folder


def write_coco(folder: Path, count: int = 4, side: int = 48, *, seed: int = 0) -> Path:
    """Write images and instances.json, polygons of squares."""
    (folder / "images").mkdir(parents=True)
    names = {name: number for number, name in enumerate(COLOURS, start=1)}
    content: dict[str, list[dict[str, object]]] = {
        "images": [], "categories": [{"id": number, "name": name} for name, number in names.items()], "annotations": [],
    }  # fmt: skip
    for number, (pixels, masks) in enumerate(squares(count, side, seed=seed)):
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "height": side, "width": side})
        for name, mask in masks.items():
            y, x = (int(part) for part in np.argwhere(mask)[0])
            end = side // 3
            polygon = [x, y, x + end, y, x + end, y + end, x, y + end]
            record = {"id": len(content["annotations"]), "image_id": number, "category_id": names[name]}
            content["annotations"].append({**record, "segmentation": [polygon]})
    (folder / "instances.json").write_text(json.dumps(content))
    return folder / "instances.json"


def write_boxes(folder: Path, count: int = 4, side: int = 48, *, seed: int = 0, masks: int = 0) -> Path:
    """Write images and instances.json: boxes alone, but for the first `masks` images, which have polygons."""
    file = write_coco(folder, count, side, seed=seed)
    content = json.loads(file.read_text())
    for record in content["annotations"]:
        x, y, _, _, x1, y1 = record["segmentation"][0][:6]
        record["bbox"] = [x, y, x1 - x, y1 - y]
        if record["image_id"] >= masks:
            record["segmentation"] = []
    file.write_text(json.dumps({**content, "exhaustive": True}))
    return file


def write_small_clipseg(folder: Path, *, size: int = 32, **changes: Any) -> Path:
    """A random CLIPSeg of a few thousand weights."""
    write_clipseg(folder, size=size, **changes)
    return folder


def trained_weights(run: Path) -> dict[str, torch.Tensor]:
    """The float32 weights in a run's newest checkpoint, but for attention's key biases.

    Softmax does not see a key's bias: its gradient is rounding noise, which Adam blows up to the size of a step.
    """
    (newest,) = (run / "checkpoints").glob("step-*")
    weights = load_file(newest / "model.safetensors")
    for name in [name for name in weights if name.endswith("in_proj_bias")]:
        query, _, value = weights[name].chunk(3)
        weights[name] = torch.cat([query, value])
    return weights


def write_small_compact(folder: Path) -> Path:
    """A random compact network of a few thousand weights."""
    words = ["[UNK]", *COLOURS, "square", "left", "right"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    settings = CompactSettings(long_side=64, presence_threshold=0.0)
    save_compact(folder, "small", build_compact(SMALL).eval(), SMALL, settings, tokenizer)
    return folder


class ImageModel:
    """What data need of a model: the size and normalisation of its images."""

    def __init__(
        self, size: int = 32, *, square: bool = False, mean: tuple[float, float, float] = (0.5, 0.25, 0.75),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
    ) -> None:  # fmt: skip
        self.size, self.square, self.mean, self.std = size, square, mean, std


class Samples:
    """A data set of a few samples in memory."""

    name, split, names, fingerprint, exhaustive = "samples", "all", (), "0", False

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def open_model(source: Path | None, recipe: Recipe) -> Any:
    """The model of a recipe."""
    return recipe.method.open(source, recipe.schedule)


def open_samples(
    path: Path, recipe: Recipe, model: Any = None, *, skip_bad: bool = False, **choice: Any
) -> TrainingData:
    """The data of a recipe."""
    chosen: Trainable = ImageModel() if model is None else model
    data = DataChoice(path, **choice)
    return recipe.data.open(data, chosen, recipe.schedule, skip_bad=skip_bad, scratch=path / "scratch")


def first_batch(data: TrainingData, count: int = 4, epoch: int = 0) -> Batch:
    """The first samples of an epoch, in the data's order."""
    return data.train.collate([data.train[Place(epoch, index)] for index in range(count)])
