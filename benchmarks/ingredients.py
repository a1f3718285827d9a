"""What each ingredient of the everyday recipe gives: short paired runs, each without one of them.

    python scripts/embedded/make_embedded.py images --data DATA --out runs/ingredients
    python scripts/embedded/make_embedded.py teachers --teachers TEACHERS --out runs/ingredients
    python benchmarks/ingredients.py train --data DATA --out runs/ingredients --start FOLDER --bf16
    python benchmarks/ingredients.py measure --data DATA --out runs/ingredients --start FOLDER
    python benchmarks/ingredients_table.py runs/ingredients

FOLDER holds the weights that every run starts from: an edition that knows no everyday photographs (`git show
f7cceee:src/wordmask/weights/compact/...`). Runs of one seed draw the same images as far as their data allow, take the
same number of steps, and are measured on the same val images (`ingredients_measure`). Runs that are finished are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ingredients_measure import asked_images, measure

from wordmask.training.compact.batches import BatchMaker
from wordmask.training.compact.label_space import UNKNOWN
from wordmask.training.compact.labelled_images import BY_BOXES, BY_PIXELS, BY_TAG, LabelledImages
from wordmask.training.compact.losses import LossWeights
from wordmask.training.compact.teachers import FeatureTeacher, Teachers
from wordmask.training.recipes.compact import CompactMethod
from wordmask.training.schedule import Schedule, lr_scale

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "embedded"))
from make_embedded import EmbeddedImages, everyday_mixing, feature_teachers

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.training.compact.phrase_bank import PhraseBank

COUNTS = {"everyday": 12, "celebamask": 2, "camvid": 1, "clothing": 1}
"""Images of each label space in a batch of 16."""
PEOPLE, BOXED, UNBOXED = 9, 10, 11
"""Numbers of data sets: people, everyday photographs with exhaustive boxes, those without."""
LOSSES = LossWeights(labels=2.0)


@dataclass(frozen=True)
class Arm:
    """What a run leaves out.

    Attributes:
        losses: weights of its losses.
        images: what it knows of the images.
        mixing: changes of how batches are mixed.
        steps: whether it is trained at all.
    """

    losses: LossWeights = LOSSES
    images: Callable[[LabelledImages], LabelledImages] = lambda images: images
    mixing: dict[str, Any] = field(default_factory=dict)
    trained: bool = True


def without_photographs(images: LabelledImages) -> LabelledImages:
    """Never draw the everyday photographs: what the start was trained on stays."""
    return replace(images, odds=images.odds * (images.group < BOXED))


def without_box_presence(images: LabelledImages) -> LabelledImages:
    """Take no name for absent because no box bears it."""
    boxed = (images.group == PEOPLE) | (images.group == BOXED)
    return replace(images, absent=images.absent * ~boxed[:, None])


def without_captions(images: LabelledImages) -> LabelledImages:
    """Forget names from captions, tags and file names, and the nouns that captions leave unsaid (0.3)."""
    unsaid = (images.group >= PEOPLE)[:, None] & ((images.absent - 0.3).abs() < 1e-3)
    present = torch.where(images.present == BY_TAG, 0, images.present)
    return replace(images, present=present, absent=torch.where(unsaid, 0.0, images.absent))


def without_teacher_maps(images: LabelledImages) -> LabelledImages:
    """Forget the teacher's label maps of everyday photographs: boxes, captions and class names stay."""
    rows = images.group >= BOXED
    labels, present = images.labels.clone(), images.present.clone()
    labels[rows] = UNKNOWN
    known = present[rows]
    named = torch.zeros(len(known), known.shape[1] + 1, dtype=torch.bool)
    slots = images.slots[rows]
    named.scatter_(1, torch.where(slots < 0, known.shape[1], slots), torch.ones_like(slots, dtype=torch.bool))
    present[rows] = torch.where(known == BY_PIXELS, torch.where(named[:, :-1], BY_BOXES, 0).to(known.dtype), known)
    return replace(images, labels=labels, present=present)


ARMS = {
    "start": Arm(trained=False),
    "all": Arm(),
    "no everyday photographs": Arm(images=without_photographs),
    "no presence from boxes": Arm(images=without_box_presence),
    "no box losses": Arm(losses=replace(LOSSES, box=0.0, affinity=0.0)),
    "no captions and tags": Arm(images=without_captions),
    "no teacher's label maps": Arm(losses=replace(LOSSES, labels=0.0), images=without_teacher_maps),
    "no feature distillation": Arm(losses=replace(LOSSES, features=0.0)),
    "no copy-paste": Arm(mixing={"pasted": {}}),
    "no hard negatives": Arm(mixing={"hard": 0.0}),
}


class Remembered:
    """A teacher's `run` that keeps its answers: arms of one seed mostly show the same pixels."""

    def __init__(self, run: Callable[[torch.Tensor], Any]) -> None:
        self.run, self.answers = run, dict[tuple[float, ...], Any]()

    def __call__(self, pixels: torch.Tensor) -> Any:
        key = (*pixels.shape, float(pixels.double().sum()), float(pixels[0, 0].double().square().sum()))
        if key not in self.answers:
            self.answers[key] = self.run(pixels)
        return self.answers[key]


def train_arm(
    arm: Arm, images: LabelledImages, bank: PhraseBank, features: dict[str, FeatureTeacher], args: argparse.Namespace,
    seed: int,
) -> Any:  # fmt: skip
    """Train from the start with one thing left out, and return the network."""
    schedule = Schedule(steps=args.steps, batch=sum(COUNTS.values()), lr=args.lr, warm_up=10, lr_schedule="linear")
    model = open_start(args)
    model.weights = arm.losses
    shown = arm.images(images)
    maker = BatchMaker(shown, bank, everyday_mixing(shown, COUNTS, **arm.mixing), seed=seed)
    torch.manual_seed(seed)
    model.prepare(len(bank.names), Teachers([], slice(0, 0), features))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, args.lr, betas=(0.9, 0.99), weight_decay=0.05)
    model.train()
    for step in range(args.steps if arm.trained else 0):
        for group in optimiser.param_groups:
            group["lr"] = args.lr * lr_scale(step, schedule)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            losses = model.loss(maker.make(step, args.size), step)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        optimiser.step()
        if step % 20 == 0:
            print(step, {k: round(float(v.detach()), 3) for k, v in losses.items()}, flush=True)
    return model


def train_all(args: argparse.Namespace) -> None:
    """Train every arm with the first seed, then with the next; the networks are kept."""
    start = open_start(args)
    images, bank = load(start, args)
    features = feature_teachers(args.out, COUNTS["everyday"], images.spaces[0].labels)
    (args.out / "networks").mkdir(exist_ok=True)
    for seed in args.seeds:
        for teacher in features.values():
            teacher.run = Remembered(getattr(teacher.run, "run", teacher.run))
        for name in args.arms:
            file = args.out / "networks" / f"{name.replace(' ', '-')}.{seed}.pt"
            if file.exists() or not (ARMS[name].trained or seed == args.seeds[0]):
                continue
            begin = time.process_time()
            model = train_arm(ARMS[name], images, bank, features, args, seed)
            spent = time.process_time() - begin
            record = {"arm": name, "seed": seed, "steps": args.steps, "size": args.size, "lr": args.lr, "cpu_s": spent}
            state = {k: v.half() if v.is_floating_point() else v for k, v in model.network.state_dict().items()}
            torch.save({"record": record, "state": state}, file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
            print(name, seed, round(spent), "s", flush=True)


def measure_all(args: argparse.Namespace) -> None:
    """Measure every network that is there and was not measured yet."""
    model = open_start(args)
    asked = asked_images(args.data, args.limit)
    (args.out / "measured").mkdir(exist_ok=True)
    for file in sorted((args.out / "networks").glob("*.pt")):
        result = args.out / "measured" / f"{file.stem}.json"
        if result.exists():
            continue
        kept = torch.load(file, weights_only=True)
        model.network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in kept["state"].items()})
        rows = measure(model, asked, args.canvas)
        result.write_text(json.dumps(kept["record"] | {"images": rows}) + "\n")
        print(file.stem, len(rows), "images", flush=True)


def open_start(args: argparse.Namespace) -> Any:
    """Return the network that every run starts from, ready to be trained."""
    return CompactMethod().open(args.start, Schedule(steps=1, batch=1, lr=0.1))


def load(start: Any, args: argparse.Namespace) -> tuple[LabelledImages, PhraseBank]:
    """Load the prepared images; they are kept in memory-mapped form, so that the next start is quick."""
    file = args.out / "loaded.pt"
    if not file.exists():
        torch.save(EmbeddedImages(data=str(args.data), prepared=str(args.out)).load(start.embed), file)
    images, bank = torch.load(file, weights_only=False, mmap=True)
    return images.every(args.every), bank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("train", "measure"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--size", type=int, default=160, help="side of training images in pixels")
    parser.add_argument("--every", type=int, default=2, help="take every so many of the training images")
    parser.add_argument("--canvas", type=int, default=256, help="longer side of val images in pixels")
    parser.add_argument("--limit", type=int, default=60, help="val images of each of four kinds")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16")
    args = parser.parse_args()
    {"train": train_all, "measure": measure_all}[args.stage](args)


if __name__ == "__main__":
    main()
