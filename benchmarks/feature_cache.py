"""Train CLIPSeg's decoder with the vision tower computed in every step, and with its features read from a cache.

    python benchmarks/feature_cache.py                                   # 16 images, 6 steps of 16: two minutes
    python benchmarks/feature_cache.py --images 8 --steps 4 --batch 4    # a quick look

The model has the sizes of the paper: CLIP's ViT-B/16 at 352 px, read after blocks 3, 7 and 9, and a fresh decoder with
64 channels; its weights are random. Both sides train a decoder of their own from the same weights on the same augmented
images in the same order, with the same dropout: read the file, cut, mirror, colour, collate, forward, loss, backward,
AdamW. They differ in the tower alone. First the cache is filled, which is timed apart. Then the sides alternate step by
step, A B then B A; the first step of each does not count. A third timing is the end-to-end forward pass alone, without
gradients: the strictest comparison for the whole steps of the cached side. Ratios are taken within each round, and
their medians are reported. Wall time is what a user waits for, CPU time is steadier on a shared machine.

What is left of a step without the tower is the decoder's own, and two options decide what that takes. Batches of 16 lie
between those of `finetune` (8) and of the paper (64); in smaller ones two cores have less to share. Dropout, which
`finetune` leaves out and the paper's recipes set to 0.1, about doubled the decoder's step: `--dropout 0.1` measures
that.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
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

from wordmask.batch import Batch, Place
from wordmask.components.feature_cache import FeatureCache
from wordmask.data.sample import Query, Sample
from wordmask.methods.clipseg.fresh import FreshDecoder
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.training.augmentation import Augmentation, AugmentedSet
from wordmask.training.data import Subset
from wordmask.training.optim import build_optimiser, set_lr
from wordmask.training.schedule import Schedule, lr_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.methods.clipseg.training import ClipSegTraining

VISION: dict[str, Any] = {"patch_size": 16, "image_size": 224}  # the rest of ViT-B are the defaults
SIDE = 352
SIZE = (480, 640)
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


class Noise:
    """A data set of soft noise with a bright box each, in JPEG files."""

    name, split, names, fingerprint, exhaustive = "noise", "train", (), "0", False

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._boxes = folder, []
        random = np.random.default_rng(0)
        height, width = SIZE
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
        mask = np.zeros(SIZE, np.bool_)
        mask[self._boxes[index]] = True
        phrase = PHRASES[index % len(PHRASES)]
        query = Query(TextPrompt(phrase), pack(mask), phrase)
        return Sample(f"{index}", self._folder / f"{index}.jpg", SIZE, (query,))


class Side:
    """One of the two trainings: a model, its optimiser, and its augmented images."""

    def __init__(self, folder: Path, data: Noise, settings: FreshDecoder, schedule: Schedule, variants: int) -> None:
        self.model: ClipSegTraining = settings.open(folder, schedule)
        self.model.train()
        augmentation = Augmentation(crop=0.6, mirror=0.5, colour=0.3, variants=variants)
        samples = Subset(data, tuple(range(len(data))))
        self.images = AugmentedSet(samples, augmentation, self.model, schedule)
        self._schedule, self._optimiser = schedule, build_optimiser(self.model.parameter_groups(), schedule)

    def batch(self, places: list[Place]) -> Batch:
        """Read and augment the images."""
        return self.images.collate([self.images[place] for place in places])

    def step(self, places: list[Place], number: int) -> float:
        """Train one step, whose number is the seed of its dropout, and return the loss."""
        torch.manual_seed(number)
        set_lr(self._optimiser, lr_scale(number, self._schedule))
        loss = torch.stack(list(self.model.loss(self.batch(places), number).values())).sum()
        torch.autograd.backward(loss)
        self._optimiser.step()
        self._optimiser.zero_grad()
        return float(loss.detach())

    def forward(self, places: list[Place]) -> None:
        """Everything but training."""
        with torch.no_grad():
            self.model(self.batch(places))


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call returns, and its seconds of wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def rounds(computed: Side, cached: Side, batches: list[list[Place]]) -> dict[str, Any]:
    """Train both sides in turn; seconds and losses of every step."""
    seconds: dict[str, list[dict[str, float]]] = {"forward": [], "computed": [], "cached": []}
    losses: dict[str, list[float]] = {"computed": [], "cached": []}
    sides = {"computed": computed, "cached": cached}
    for number, places in enumerate(batches):
        for name in sorted(sides, reverse=number % 2 == 1):
            loss, spent = timed(partial(sides[name].step, places, number))
            losses[name].append(loss)
            seconds[name].append(spent)
        seconds["forward"].append(timed(partial(computed.forward, places))[1])
        took = ", ".join(f"{name} {values[-1]['wall_s']:.2f} s" for name, values in seconds.items())
        print(f"step {number + 1}/{len(batches)}: {took}; loss {losses['cached'][-1]:.6f}", flush=True)
    return {"seconds": seconds, "losses": losses}


def fill(side: Side, epochs: int, batch: int) -> dict[str, float]:
    """Encode every augmented image once, so that the cache holds them all."""
    places = [Place(epoch, index) for epoch in range(epochs) for index in range(len(side.images))]
    parts = [places[first : first + batch] for first in range(0, len(places), batch)]
    return timed(lambda: list(map(side.forward, parts)))[1]


def summary(found: dict[str, Any], batch: int) -> dict[str, Any]:
    """Medians and ratios of all rounds but the first, and how far the losses are apart."""
    counted = {name: values[1:] or values for name, values in found["seconds"].items()}
    ratios = {
        f"{name} / cached": [
            {key: one[key] / other[key] for key in one}
            for one, other in zip(counted[name], counted["cached"], strict=True)
        ]
        for name in ("computed", "forward")
    }
    first, second = (np.asarray(found["losses"][name]) for name in ("computed", "cached"))
    return {
        "images_per_s": {
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


def schedule_of(arguments: argparse.Namespace) -> Schedule:
    """CLIPSeg (PC) of the paper, in float32."""
    return Schedule(steps=arguments.steps, batch=arguments.batch, lr=1e-3, final_lr=1e-4)


def measure(scratch: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything and return the record."""
    schedule, before = schedule_of(arguments), load_average()
    settings = FreshDecoder(size=SIDE, fit="squash", dropout=arguments.dropout)
    write_clip(scratch / "clip")
    (scratch / "images").mkdir()
    data = Noise(scratch / "images", arguments.images)
    computed, cached = (Side(scratch / "clip", data, settings, schedule, arguments.variants) for _ in range(2))
    cache = FeatureCache(scratch / "cache", limit=LIMIT)
    cached.model.use_cache(cache)
    filling = fill(cached, arguments.variants, arguments.batch)
    count = len(data) * arguments.variants
    print(f"filled the cache with {count} images in {filling['wall_s']:.1f} s, {cache.size / count:.0f} bytes each")
    held = cache.size
    found = rounds(computed, cached, list(cached.images.order(0, schedule.steps)))
    assert cache.size == held, "an image was not found in the cache"
    reading = timed(lambda: cached.batch([Place(0, index) for index in range(len(data))]))[1]
    return {
        "benchmark": "feature_cache",
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": before,
        "load_after": load_average(),
        "model": f"CLIP ViT-B/16 of random weights at {SIDE} px, decoder of {settings.channels} channels, float32",
        "options": {name: value for name, value in vars(arguments).items() if name != "json"},
        "cache": {
            "bytes_per_image": held / count,
            "fill_s": filling,
            "fill_s_per_image": {key: value / count for key, value in filling.items()},
        },
        "augmentation_s_per_image": {key: value / len(data) for key, value in reading.items()},
        "target": TARGET,
        **summary(found, schedule.batch),
        **found,
    }


def show(record: dict[str, Any]) -> None:
    """Print the figures that matter."""
    for name, values in record["images_per_s"].items():
        print(f"{name:9} {values['wall_s']:8.2f} images/s wall {values['cpu_s']:8.2f} CPU")
    for name, values in record["ratios"].items():
        print(f"{name:18} {values['wall_s']:6.1f}x wall {values['cpu_s']:6.1f}x CPU (wanted: {TARGET:g}x)")
    apart = record["loss_difference"]
    print(f"losses differ by at most {apart['max']:.1e}, {apart['mean']:.1e} on average")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16, help="on both sides; see above")
    parser.add_argument("--variants", type=int, default=1, help="augmentations of each image")
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
