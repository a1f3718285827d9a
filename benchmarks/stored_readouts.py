"""Training CLIPSeg's decoder with the tower computed in every step, and with its outputs read from a store.

    python benchmarks/stored_readouts.py                                     # 16 pictures, 6 steps of 16: two minutes
    python benchmarks/stored_readouts.py --pictures 8 --steps 4 --batch 4    # a quick look

The model has the sizes of the paper: CLIP's ViT-B/16 at 352 px, read out after blocks 3, 7 and 9, and a fresh decoder
with 64 channels; its weights are random. Both sides train a decoder of their own from the same weights on the same
views in the same order, with the same dropout: read the picture's file, cut, mirror, colour, collate, forward, loss,
backward, AdamW. They differ in the tower alone. First the store is filled, which is timed apart. Then the sides
alternate step by step, A B then B A; the first step of each does not count. A third timing is the end-to-end forward
pass alone, without gradients: the strictest thing that the stored side's whole steps can be compared with. Ratios are
taken within each round, and their medians are reported. Wall time is what a user waits for, CPU time is steadier on a
shared machine.

What is left of a step when the tower is gone is the decoder's own, and two options decide what that takes. Batches of
16 lie between those of `finetune` (8) and of the paper (64); in smaller ones two cores have less to share. Dropout,
which `finetune` leaves out and the paper's recipes set to 0.1, about doubled the decoder's step: `--dropout 0.1`
measures that.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from many_prompts import PHRASES, load_average, machine, write_tokenizer
from PIL import Image

from wordmask.data.sample import Query, Sample
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.train.objective import objective
from wordmask.train.order import Order
from wordmask.train.readouts import ReadoutStore
from wordmask.train.recipes import Recipe, phrasecut
from wordmask.train.students import open_student
from wordmask.train.views import Batch, Collate, Views

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.train.order import Place
    from wordmask.train.students import Student

VISION: dict[str, Any] = {"patch_size": 16, "image_size": 224}  # the rest of ViT-B are the defaults
SIDE = 352
PICTURE = (480, 640)
TARGET = 10.0
LIMIT = 64 * 2**30


def write_clip(folder: Path) -> None:
    """Random weights in the sizes of CLIP's ViT-B/16; of the text tower, whose part is over after a few phrases, one
    block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    torch.manual_seed(0)
    config = transformers.CLIPConfig(vision_config=VISION, text_config={"num_hidden_layers": 1})
    transformers.CLIPModel(config).save_pretrained(folder)


class Pictures:
    """A data set of soft noise with a bright box each, in JPEG files."""

    name, split, names, fingerprint = "noise", "train", (), "0"

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._boxes = folder, []
        random = np.random.default_rng(0)
        height, width = PICTURE
        for number in range(count):
            coarse = random.integers(0, 200, (height // 20, width // 20, 3), dtype=np.uint8)
            pixels = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
            top, left = int(random.integers(height // 2)), int(random.integers(width // 2))
            box = (slice(top, top + height // 3), slice(left, left + width // 3))
            pixels[box] = np.minimum(pixels[box].astype(int) + 60, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
            self._boxes.append(box)

    def __len__(self) -> int:
        return len(self._boxes)

    def __getitem__(self, index: int) -> Sample:
        mask = np.zeros(PICTURE, np.bool_)
        mask[self._boxes[index]] = True
        phrase = PHRASES[index % len(PHRASES)]
        query = Query(TextPrompt(phrase), pack(mask), phrase)
        return Sample(f"{index}", self._folder / f"{index}.jpg", PICTURE, (query,))


class Side:
    """One of the two trainings: a student, its optimiser, and the views that it sees."""

    def __init__(self, folder: Path, data: Pictures, recipe: Recipe) -> None:
        self.student: Student = open_student(folder, recipe)
        self.student.train()
        self.recipe = recipe
        self.views = Views(
            data, range(len(data)), recipe, size=self.student.size, square=self.student.square,
            mean=self.student.mean, std=self.student.std,
        )  # fmt: skip
        weights = [weight for weight in self.student.parameters() if weight.requires_grad]
        self._optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=recipe.decay)
        self._collate = Collate(self.student.mean, self.student.std)

    def batch(self, places: list[Place]) -> Batch:
        """Read and cut the pictures."""
        return self._collate([self.views[place] for place in places])

    def step(self, places: list[Place], seed: int) -> float:
        """Train one step, its dropout drawn from `seed`, and return the loss."""
        torch.manual_seed(seed)
        batch = self.batch(places)
        loss = torch.stack(list(objective(self.student(batch), batch, self.recipe).values())).sum()
        loss.backward()
        self._optimiser.step()
        self._optimiser.zero_grad()
        return float(loss.detach())

    def forward(self, places: list[Place]) -> None:
        """Everything but training."""
        with torch.no_grad():
            self.student(self.batch(places))


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call returns, and its seconds of wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def rounds(computed: Side, stored: Side, batches: list[list[Place]]) -> dict[str, Any]:
    """Train both sides in turn; seconds and losses of every step."""
    seconds: dict[str, list[dict[str, float]]] = {"forward": [], "computed": [], "stored": []}
    losses: dict[str, list[float]] = {"computed": [], "stored": []}
    sides = {"computed": computed, "stored": stored}
    for number, places in enumerate(batches):
        for name in sorted(sides, reverse=number % 2 == 1):
            loss, spent = timed(partial(sides[name].step, places, number))
            losses[name].append(loss)
            seconds[name].append(spent)
        seconds["forward"].append(timed(partial(computed.forward, places))[1])
        took = ", ".join(f"{name} {values[-1]['wall_s']:.2f} s" for name, values in seconds.items())
        print(f"step {number + 1}/{len(batches)}: {took}; loss {losses['stored'][-1]:.6f}", flush=True)
    return {"seconds": seconds, "losses": losses}


def fill(side: Side, epochs: int, batch: int) -> dict[str, float]:
    """See every view once, so that the store holds them all."""
    places = [(epoch, index) for epoch in range(epochs) for index in range(len(side.views))]
    parts = [places[first : first + batch] for first in range(0, len(places), batch)]
    return timed(lambda: [side.forward(part) for part in parts])[1]


def summary(found: dict[str, Any], batch: int) -> dict[str, Any]:
    """Medians and ratios of all rounds but the first, and how far the losses are apart."""
    counted = {name: values[1:] or values for name, values in found["seconds"].items()}
    ratios = {
        f"{name} / stored": [
            {key: one[key] / other[key] for key in one}
            for one, other in zip(counted[name], counted["stored"], strict=True)
        ]
        for name in ("computed", "forward")
    }
    first, second = (np.asarray(found["losses"][name]) for name in ("computed", "stored"))
    return {
        "pictures_per_s": {
            name: {key: batch / value for key, value in medians(values).items()} for name, values in counted.items()
        },
        "ratios": {name: medians(values) for name, values in ratios.items()},
        "loss_difference": {
            "max": float(np.abs(first - second).max()),
            "mean": float(np.abs(first - second).mean()),
            "loss_first": float(first[0]),
            "loss_last": float(first[-1]),
        },
    }


def medians(values: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(value[key] for value in values) for key in values[0]}


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """CLIPSeg (PC) of the paper, but in float32, and with as many looks of a picture as the store is to hold."""
    return dataclasses.replace(
        phrasecut(), name="stored-readouts", precision="no", steps=arguments.steps, batch=arguments.batch, size=SIDE,
        crop=0.6, mirror=0.5, colour=0.3, variants=arguments.variants, remember=True, dropout=arguments.dropout,
        valid_every=0, workers=0,
    )  # fmt: skip


def measure(scratch: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything and return the record."""
    recipe, before = recipe_of(arguments), load_average()
    write_clip(scratch / "clip")
    (scratch / "pictures").mkdir()
    data = Pictures(scratch / "pictures", arguments.pictures)
    computed, stored = (Side(scratch / "clip", data, recipe) for _ in range(2))
    store = ReadoutStore(scratch / "store", limit=LIMIT)
    stored.student.use_store(store)
    filling = fill(stored, arguments.variants, arguments.batch)
    views = len(data) * arguments.variants
    print(f"filled the store with {views} views in {filling['wall_s']:.1f} s, {store.size / views:.0f} bytes each")
    held = store.size
    found = rounds(computed, stored, list(Order(len(data), recipe.batch, 0, recipe.steps, seed=0)))
    assert store.size == held, "a view was not found in the store"
    reading = timed(lambda: stored.batch([(0, index) for index in range(len(data))]))[1]
    return {
        "benchmark": "stored_readouts",
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": before,
        "load_after": load_average(),
        "model": f"CLIP ViT-B/16 of random weights at {SIDE} px, decoder of {recipe.channels} channels, float32",
        "options": {name: value for name, value in vars(arguments).items() if name != "json"},
        "store": {
            "bytes_per_view": held / views,
            "fill_s": filling,
            "fill_s_per_view": {key: value / views for key, value in filling.items()},
        },
        "views_s_per_picture": {key: value / len(data) for key, value in reading.items()},
        "target": TARGET,
        **summary(found, recipe.batch),
        **found,
    }


def show(record: dict[str, Any]) -> None:
    """Print the figures that matter."""
    for name, values in record["pictures_per_s"].items():
        print(f"{name:9} {values['wall_s']:8.2f} pictures/s wall {values['cpu_s']:8.2f} CPU")
    for name, values in record["ratios"].items():
        print(f"{name:18} {values['wall_s']:6.1f}x wall {values['cpu_s']:6.1f}x CPU (wanted: {TARGET:g}x)")
    apart = record["loss_difference"]
    print(f"losses differ by at most {apart['max']:.1e}, {apart['mean']:.1e} on average")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16, help="on both sides; see above")
    parser.add_argument("--variants", type=int, default=1, help="looks of each picture")
    parser.add_argument("--dropout", type=float, default=0.0, help="in the decoder, on both sides")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the record there")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        record = measure(Path(scratch), arguments)
    show(record)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
        print(f"wrote {arguments.json}")


if __name__ == "__main__":
    main()
