"""Train a small CLIP, or its counterpart without words, from scratch on the training parts of small public sets.

    python -m scripts.experiments.clipseg.train_towers --data DATA --out runs/clipseg/clip --minutes 36 --bf16
    python -m scripts.experiments.clipseg.train_towers --data DATA --out runs/clipseg/vit --minutes 36 --bf16 --vit

Views are regions of pictures (`album`), phrases are names in sentences. Pictures and phrases are brought together by
the contrastive loss of CLIP (Radford et al., arXiv 2103.00020) over all names of the data at once, with a target
that is shared among all names seen in a view. The text tower is also drawn to CLIP's own vectors of 1,203 nouns where
the folder `names` is there, so that names lie to one another as they do in CLIP. With `--vit` the same views, targets
and vision tower train a plain classifier: all that differs is that its names are numbers.

The schedule follows the time (`--minutes`) or the steps (`--steps`): the rate falls along a cosine, and pictures grow
from about half their side to all of it. The same command goes on where it was killed; by time, no two runs give the
same weights.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.experiments.clipseg.album import SETS, Album, Draws, read_album
from scripts.experiments.clipseg.towers import NameTower, Sizes, WordTower, save_state, write_tokenizer
from wordmask.data.sampling.phrases import PREFIXES
from wordmask.formats.files import write
from wordmask.methods.clipseg.checkpoint import TRAINED_WITH

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STAGES = ((0.55, 0.55), (0.8, 0.73), (1.0, 1.0))
"""Until which share of the schedule pictures have which share of their full side."""
WARM_UP = 0.03
SENTENCES = PREFIXES["shuffle+"]
NOUNS_AT_ONCE = 96
AT_ONCE = 50
"""Regions that pass the tower together when it is examined."""
FINISHED = "tower.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the towers are trained.

    Attributes:
        minutes: Of the whole schedule; 0 = `steps` says.
        steps: Of the whole schedule, where `minutes` is 0.
        batch: Views in a step.
        rate: Highest learning rate.
        decay: Weight decay of AdamW.
        bf16: Whether matrix products are computed in bfloat16.
        seed: Of weights and draws.
        save_every: Seconds between checkpoints.
    """

    minutes: float = 0.0
    steps: int = 0
    batch: int = 64
    rate: float = 5e-4
    decay: float = 0.05
    bf16: bool = False
    seed: int = 0
    save_every: float = 60.0

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the schedule is done, 0 to 1."""
        return min(1.0, seconds / (60 * self.minutes) if self.minutes else step / self.steps)


@dataclass
class Nouns:
    """Nouns with CLIP's own text vectors.

    Attributes:
        words: N nouns.
        vectors: float32 (N, C), of length 1, around their mean.
    """

    words: list[str] = field(default_factory=list)
    vectors: Tensor = field(default_factory=lambda: torch.zeros(0, 512))


def read_nouns(folder: Path) -> Nouns:
    """Read `lvis_names.json` and `lvis_clip_vitb32.npy`; without them there are no nouns.

    CLIP's text vectors all lie in one narrow cone; the mean is taken away, so that what is left tells nouns apart.
    """
    if not (folder / "lvis_names.json").is_file():
        return Nouns()
    names = [str(record["name"]) for record in json.loads((folder / "lvis_names.json").read_bytes())]
    raw = np.load(folder / "lvis_clip_vitb32.npy").astype(np.float32)
    vectors = F.normalize(torch.from_numpy(raw - raw.mean(axis=0)), dim=-1)
    return Nouns([name.replace("_", " ") for name in names], vectors)


def contrastive(cosines: Tensor, scale: Tensor, targets: Tensor) -> Tensor:
    """Return CLIP's symmetric loss with shared targets.

    Args:
        cosines: (B, V) of views and names.
        scale: Their factor.
        targets: (B, V), a distribution over names for each view.
    """
    logits = scale * cosines
    rows = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    there = targets.sum(dim=0) > 0
    columns = (targets / targets.sum(dim=0).clamp(min=1e-9))[:, there]
    return (rows - (columns * logits[:, there].log_softmax(dim=0)).sum(dim=0).mean()) / 2


class WordLesson:
    """The loss of a `WordTower`.

    Args:
        tower: What is trained.
        names: Of the album.
        nouns: Whose vectors the text tower is drawn to.
        seed: Of the sentences.
    """

    def __init__(self, tower: WordTower, names: tuple[str, ...], nouns: Nouns, seed: int) -> None:
        self.tower, self.names, self.nouns, self.seed = tower, names, nouns, seed

    def loss(self, pixels: Tensor, targets: Tensor, step: int) -> Tensor:
        random = np.random.default_rng([self.seed, step, 1])
        said = [SENTENCES[int(random.integers(len(SENTENCES)))].replace("{}", name) for name in self.names]
        some = random.choice(len(self.nouns.words), min(NOUNS_AT_ONCE, len(self.nouns.words)), replace=False).tolist()
        texts = self.tower.phrases([*said, *(f"a {self.nouns.words[place]}" for place in some)])
        known, others = texts[: len(said)], texts[len(said) :]
        loss = contrastive(self.tower.pictures(pixels) @ known.T, self.tower.scale(), targets)
        if some:
            loss = loss + (1 - (others * self.nouns.vectors[some].to(others)).sum(dim=-1)).mean()
        return loss

    def scores(self, pixels: Tensor) -> Tensor:
        """(B, V), larger = more likely."""
        return self.tower.pictures(pixels) @ self.tower.phrases(self._said()).T

    def settle(self, pixels: Tensor) -> None:
        """Give vectors the length that decoders are trained with."""
        self.tower.settle(pixels, self._said())

    def _said(self) -> list[str]:
        return [f"a photo of a {name}." for name in self.names]


class NameLesson:
    """The loss of a `NameTower`: cross-entropy with the same targets."""

    def __init__(self, tower: NameTower) -> None:
        self.tower = tower

    def loss(self, pixels: Tensor, targets: Tensor, step: int) -> Tensor:
        logits: Tensor = self.tower(pixels)
        return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()

    def scores(self, pixels: Tensor) -> Tensor:
        """(B, V), larger = more likely."""
        scores: Tensor = self.tower(pixels)
        return scores

    def settle(self, pixels: Tensor) -> None:
        """Give class tokens the length that decoders are trained with; the head, which is left behind, ends here."""
        self.tower.settle(pixels)


Lesson = WordLesson | NameLesson


def train_tower(lesson: Lesson, album: Album, plan: Plan, folder: Path, say: Callable[[str], None] = print) -> int:
    """Train to the end of the schedule, from the checkpoint where there is one; return the steps."""
    tower, draws = lesson.tower, Draws(album, seed=plan.seed)
    optimiser = torch.optim.AdamW(tower.parameters(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=plan.decay)
    step, before = _resume(folder / "checkpoint.pt", tower, optimiser)
    started = saved = said = time.monotonic()
    recent: list[float] = []
    while (share := plan.share(step, before + time.monotonic() - started)) < 1:
        optimiser.param_groups[0]["lr"] = plan.rate * pace(share)
        pixels, targets = draws.batch(step, plan.batch, side_at(share, tower.sizes))
        with _precision(plan.bf16):
            loss = lesson.loss(normalised(pixels), torch.from_numpy(targets), step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        recent.append(float(loss.detach()))
        now = time.monotonic()
        if now - said >= 10:
            side = side_at(share, tower.sizes)
            say(f"step {step}  {share:.1%}  {side} px  loss {np.mean(recent):.3f}  {len(recent) / (now - said):.2f}/s")
            recent, said = [], now
        if now - saved >= plan.save_every:
            _save(folder / "checkpoint.pt", tower, optimiser, step, before + now - started)
            saved = now
    _save(folder / "checkpoint.pt", tower, optimiser, step, before + time.monotonic() - started)
    return step


def pace(share: float) -> float:
    """Return the learning rate as a share of the highest: a short rise, then a cosine to a hundredth."""
    if share < WARM_UP:
        return max(share / WARM_UP, 0.01)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))) / 2


def side_at(share: float, sizes: Sizes) -> int:
    """Return the side of the pictures, a multiple of the patch."""
    part = next(part for until, part in STAGES if share <= until)
    return max(1, round(sizes.side * part / sizes.patch)) * sizes.patch


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) by ImageNet's statistics, as CLIPSeg feeds its towers."""
    mean, std, _ = TRAINED_WITH
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@torch.inference_mode()
def accuracy(lesson: Lesson, album: Album, names: tuple[str, ...], *, views: int, side: int) -> dict[str, float]:
    """Return how often the best name of a region's own set is one that is seen in it, and what chance gives.

    Args:
        lesson: With the tower.
        album: Pictures that were not trained on.
        names: What the tower knows, in the order of its scores.
        views: How many regions are asked.
        side: Of the pictures, in pixels.
    """
    lesson.tower.eval()
    known = np.array([names.index(name) if name in names else -1 for name in album.names])
    sources = tuple(dict.fromkeys(shot.source for shot in album.shots))
    parts = {s: Album(album.names, tuple(shot for shot in album.shots if shot.source == s)) for s in sources}
    among = {source: np.flatnonzero(album.among(source) & (known >= 0)) for source in sources}
    draws = {source: Draws(part, seed=1, augment=False) for source, part in parts.items()}
    drawn = [
        (among[source], *draws[source].view(np.random.default_rng([1, number]), side))
        for number in range(views)
        for source in (sources[number % len(sources)],)
    ]
    asked = [
        (choices, pixels, target) for choices, pixels, target in drawn if len(choices) > 1 and target[choices].any()
    ]
    hits, chance = 0, 0.0
    for start in range(0, len(asked), AT_ONCE):
        part = asked[start : start + AT_ONCE]
        scores = lesson.scores(normalised(np.stack([pixels for _, pixels, _ in part]))).numpy()
        for (choices, _, target), row in zip(part, scores, strict=True):
            hits += int(target[choices[int(row[known[choices]].argmax())]] > 0)
            chance += float((target[choices] > 0).mean())
    number = max(len(asked), 1)
    return {"regions": len(asked), "top1": hits / number, "chance": chance / number}


def _precision(bf16: bool) -> contextlib.AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()


def _resume(path: Path, tower: torch.nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Steps and seconds that are done."""
    if not path.is_file():
        return 0, 0.0
    content = torch.load(path, weights_only=True)
    tower.load_state_dict(content["tower"])
    optimiser.load_state_dict(content["optimiser"])
    return content["step"], content["seconds"]


def _save(path: Path, tower: torch.nn.Module, optimiser: torch.optim.Optimizer, step: int, seconds: float) -> None:
    state = {"tower": tower.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "seconds": seconds}
    save_state(path, state)


def build(data: Path, out: Path, album: Album, sizes: Sizes, plan: Plan, *, vit: bool) -> Lesson:
    """Build a tower of random weights that depend on the seed, with its loss."""
    torch.manual_seed(plan.seed)
    if vit:
        return NameLesson(NameTower(sizes, len(album.names)))
    tokens = write_tokenizer(out, data / "names")
    nouns = read_nouns(data / "names") if sizes.channels == 512 else Nouns()
    return WordLesson(WordTower(sizes, out, tokens), album.names, nouns, plan.seed)


def run(
    data: Path, out: Path, sizes: Sizes, plan: Plan, *, vit: bool, sets: tuple[str, ...] = SETS, views: int = 400
) -> dict[str, object]:
    """Train a tower into a folder; a finished one is left as it is. Return what its tower.json says."""
    if (out / FINISHED).is_file():
        return dict(json.loads((out / FINISHED).read_bytes()))
    out.mkdir(parents=True, exist_ok=True)
    cache = out.parent / "album"
    album = read_album(data, "train", cache, sets=sets)
    lesson = build(data, out, album, sizes, plan, vit=vit)
    steps = train_tower(lesson, album, plan, out)
    valid = read_album(data, "val", cache, sets=sets)
    score = accuracy(lesson, valid, album.names, views=views, side=sizes.side)
    lesson.settle(normalised(Draws(album, seed=1, augment=False).batch(0, AT_ONCE, sizes.side)[0]))
    lesson.tower.save(out)
    trained = {"kind": "vit" if vit else "clip", "steps": steps, "views": steps * plan.batch, "valid": score}
    record: dict[str, object] = {
        **trained,
        "plan": vars(plan),
        "sizes": vars(sizes),
        "sets": list(sets),
        "names": list(album.names),
    }
    write(out / FINISHED, (json.dumps(record, indent=2) + "\n").encode())
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return record


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets in the plain layout")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vit", action="store_true", help="names as numbers, no words")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--side", type=int, default=Sizes.side, help="of the pictures at the end, in pixels")
    parser.add_argument("--width", type=int, default=Sizes.width)
    parser.add_argument("--depth", type=int, default=Sizes.depth)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    arguments = parser.parse_args()
    if not arguments.minutes and not arguments.steps:
        parser.error("say how long with --minutes or --steps")
    sizes = Sizes(
        side=arguments.side, width=arguments.width, depth=arguments.depth, heads=max(1, arguments.width // 64)
    )
    plan = Plan(
        minutes=arguments.minutes, steps=arguments.steps, batch=arguments.batch, rate=arguments.rate,
        bf16=arguments.bf16, seed=arguments.seed,
    )  # fmt: skip
    record = run(arguments.data, arguments.out, sizes, plan, vit=arguments.vit, sets=tuple(arguments.sets))
    print(json.dumps({name: record[name] for name in ("kind", "steps", "views", "valid")}))


if __name__ == "__main__":
    main()
