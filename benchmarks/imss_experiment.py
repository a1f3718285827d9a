"""Does IMSS beat its alternatives at equal budget on eyes? Train and score the arms of `imss_arms.py`.

    python benchmarks/imss_experiment.py SETS/celebamask --seconds 25 --until 21:25 --out imss_experiment.json

Every arm is trained from the same faces, crops and trunk's maps for the same CPU seconds, and scored on the val faces
by three detectors: the box of the ground truth, that box with a jitter of 25 %, and the region that the compact network
finds for the words. The first seed of all arms comes first; what `--until` (UTC) cuts off is missing in the table.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from eyes import scores
from imss_arms import ARMS, Arm, ArmNetwork
from imss_eye_crops import DETECTORS, EYES, Pool, drawn_on_image, eye_cases, pool_of, training_examples

from wordmask import load
from wordmask.backbones.crop.inputs import pixel_input
from wordmask.data.registry import open_data
from wordmask.evaluation.score.counting import count_packed
from wordmask.ops import masks
from wordmask.training.imss.losses import bce_loss, dice_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imss_eye_crops import Case
    from torch import Tensor

BATCH = {True: 8, False: 4}
LEARNING_RATE, WARM_UP, DECAY = 2e-3, 50, 0.03
BORDER = 2.0


def inputs(pool: Pool, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """Return what a network reads of some examples of a pool."""
    rows = pool.rows[chosen]
    pixels = torch.from_numpy(np.stack([pixel_input(image) for image in pool.pixels[rows].numpy()]))
    shown = pixels.contiguous(memory_format=torch.channels_last)
    return shown, pool.plane[chosen].float(), pool.side[chosen], tuple(level[rows].float() for level in pool.maps)


def train(network: ArmNetwork, pool: Pool, *, seconds: float, seed: int) -> tuple[int, float]:
    """Train for some CPU seconds; return the steps and the mean loss of the last tenth."""
    draw = torch.Generator().manual_seed(seed)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=DECAY, betas=(0.9, 0.99))
    network.train()
    start, step, losses = time.process_time(), 0, list[float]()
    while (used := (time.process_time() - start) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * min(1.0, (1.0 - used) / 0.6)
        chosen = torch.randint(len(pool.side), (BATCH[network.arm.zoom],), generator=draw)
        target = pool.target[chosen].float()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*inputs(pool, chosen))
        weight = 1 + BORDER * _border(target)
        loss = bce_loss(logits.float(), target, weight) + dice_loss(logits.float(), target, weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 3.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
    return step, float(np.mean(losses[-max(1, step // 10) :]))


def _border(target: Tensor) -> Tensor:
    """1 within 3 px of the border of masks (B, h, w)."""
    planes = target[:, None]
    grown = torch.nn.functional.max_pool2d(planes, 7, 1, 3)
    shrunk = 1 - torch.nn.functional.max_pool2d(1 - planes, 7, 1, 3)
    return (grown != shrunk).float()[:, 0]


@torch.inference_mode()
def measure(network: ArmNetwork, cases: Sequence[Case], pools: dict[str, Pool]) -> dict[str, Any]:
    """Return the scores by detector and eye; a missed detection is an empty mask."""
    network.eval()
    table: dict[str, Any] = {}
    for name in DETECTORS:
        pool, counts, place = pools[name], ([], []), 0  # type: tuple[Pool, tuple[list[list[int]], list[list[int]]], int]
        logits = []
        for chosen in torch.split(torch.arange(len(pool.side)), 16):
            with torch.autocast("cpu", torch.bfloat16):
                logits += list(network(*inputs(pool, chosen)).float().numpy())
        for case in cases:
            shown = case.examples[name]
            if shown is None:
                side, mask = _side(case), masks.empty(case.mask.size)
            else:
                side, mask = shown[0].side, drawn_on_image(logits[place], shown[1], case.mask.size)
                place += 1
            counts[side].append(count_packed(mask, case.mask, None))
        table[name] = {eye: scores(rows) for eye, rows in zip(EYES, counts, strict=True)}
    return table


def _side(case: Case) -> int:
    return next(shown[0].side for shown in case.examples.values() if shown is not None)


class Data:
    """Training pools and test cases, with and without zoom, made when first needed.

    Args:
        folder: Of CelebAMask-HQ in the layout of `wordmask.data`.
        model: The compact network.
        faces: Training and test faces at most.
    """

    def __init__(self, folder: Path, model: Any, faces: int) -> None:
        parts = {split: open_data(folder, split=split) for split in ("train", "val")}
        self.samples = {name: [data[i] for i in range(min(len(data), faces))] for name, data in parts.items()}
        self.model = model
        self._kept: dict[bool, tuple[Pool, list[Case], dict[str, Pool]]] = {}

    def get(self, *, zoom: bool) -> tuple[Pool, list[Case], dict[str, Pool]]:
        """Return the training pool, the test cases, and for each detector the pool of their examples."""
        if zoom not in self._kept:
            encoder = self.model.model.image_encoder
            pairs = list(training_examples(self.samples["train"], zoom=zoom, copies=4 if zoom else 1))
            train_pool = pool_of([view for view, _ in pairs], [row for _, row in pairs], encoder)
            cases = eye_cases(self.samples["val"], self.model, zoom=zoom)
            pools = {}
            for name in DETECTORS:
                examples = [shown[0] for case in cases if (shown := case.examples[name]) is not None]
                pools[name] = pool_of(examples, range(len(examples)), encoder)
            self._kept[zoom] = train_pool, cases, pools
        return self._kept[zoom]


def run(name: str, arm: Arm, seed: int, data: Data, *, seconds: float) -> dict[str, Any]:
    """Train and score one arm with one seed."""
    pool, cases, pools = data.get(zoom=arm.zoom)
    torch.manual_seed(seed)
    model = data.model.model
    words = model.embed_texts(list(EYES)).detach().clone()
    network = ArmNetwork(arm, model.network, words).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps, loss = (0, 0.0) if not network.trained else train(network, pool, seconds=seconds, seed=seed)
    row = {"arm": name, "seed": seed, "steps": steps, "loss": loss, "parameters": network.trained}
    return row | {"scores": measure(network, cases, pools)}


def main() -> None:
    """Run the arms in turn and write their scores after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--faces", type=int, default=10**6)
    parser.add_argument("--until", help="HH:MM in UTC after which no arm is started")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, rows = (
        Data(options.data, load("compact", refine=False, dtype="float32"), options.faces),
        list[dict[str, Any]](),
    )
    chosen = [
        (seed, name)
        for seed in range(options.first_seed, options.seeds)
        for name in options.arms.split(",")
        if seed < ARMS[name].seeds
    ]
    for seed, name in sorted(chosen, key=lambda item: (item[0], not ARMS[item[1]].zoom)):
        if options.until and time.strftime("%H:%M", time.gmtime()) >= options.until:
            break
        row = run(name, ARMS[name], seed, data, seconds=options.seconds)
        rows.append(row)
        pooled = {
            detector: [round(eyes[eye]["pooled_iou"], 3) for eye in EYES] for detector, eyes in row["scores"].items()
        }
        print(name, seed, row["steps"], row["parameters"], f"{row['loss']:.3f}", pooled, flush=True)
        content = {"seconds": options.seconds, "faces": len(data.samples["train"]), "rows": rows}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
