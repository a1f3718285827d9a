"""Choose among the proposals of trained decoders by a second stage that is the same for all of them.

    python benchmarks/pmp_second_stage.py --train train.pt --valid val.pt --results results --out second

Reads the weights that `benchmarks/pmp_experiment.py` left in `--results`, and the dense logits of the frozen trunk that
`benchmarks/pmp_features.py` wrote into `--valid`. For every run it writes two results of the same form, for
`benchmarks/pmp_table.py`: in `overlap` the proposal is chosen whose IoU with the dense probabilities is highest, in
`pooled` that with the highest product of its mean dense probability and its own score.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pmp_experiment import ARMS, Arm, Data, proposed, untrained

if TYPE_CHECKING:
    from torch import Tensor

    from wordmask.methods.pmp.embedded.network import ProposalNetwork

WAYS = ("overlap", "pooled")


def main() -> None:
    """Write the results of every run under both ways of choosing; those that are there are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--valid", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--arms", default="host,host-on,pmp,query-pmp,placebo")
    parser.add_argument("--unseen", type=int, default=0, metavar="N", help="as in pmp_experiment.py")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    known = Data(asked.train, every=asked.unseen)
    parts = {"rows": Data(asked.valid, every=asked.unseen, held_out=True)}
    if asked.unseen:
        parts["seen"] = Data(asked.valid, every=asked.unseen)
    for way in WAYS:
        (asked.out / way).mkdir(parents=True, exist_ok=True)
    for path in sorted(asked.results.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["arm"] in asked.arms.split(",") and not (asked.out / WAYS[-1] / path.name).exists():
            rescore(run, path, parts, known, asked.out)


@torch.inference_mode()
def rescore(run: dict[str, object], path: Path, parts: dict[str, Data], known: Data, out: Path) -> None:
    """Write a run's results with proposals chosen by the second stage."""
    arm = ARMS[str(run["arm"])]
    network = untrained(arm, int(str(run["queries"]))).eval()
    network.load_state_dict(torch.load(path.with_suffix(".pt")))
    found = {part: scored(network, data, arm, known) for part, data in parts.items()}
    for way in WAYS:
        content = run | {part: rows[way] for part, rows in found.items()}
        (out / way / path.name).write_text(json.dumps(content), encoding="utf-8")
    rows = torch.tensor(found["rows"][WAYS[0]])
    print(f"{path.stem}: chosen by {WAYS[0]} {rows[:, 3].mean():.3f}, dense mask {rows[:, 5].mean():.3f}", flush=True)


def scored(network: ProposalNetwork, data: Data, arm: Arm, known: Data) -> dict[str, list[list[float]]]:
    """Return rows as `pmp_experiment.scored` does for each way of choosing, and last the IoU of the dense mask."""
    rows: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for i, row in enumerate(data.rows):
        bits, own = proposed(network, data, i, arm, known)
        masks = data.masks(i)[:, ::2, ::2].flatten(1).float()  # (K, cells)
        dense = row["dense"][row["taken"]].flatten(1).float()
        for mask, told, found, score in zip(masks, dense, bits.float(), own, strict=True):
            ious = overlap(found, mask)
            chosen = {"overlap": overlap(found, told.sigmoid()), "pooled": score * inside(found, told.sigmoid())}
            facts = [i, float(mask.mean()), float(ious.max())]
            for way in WAYS:
                picked = float(ious[chosen[way].argmax()])
                rows[way].append([*facts, picked, float(ious[-1]), float(overlap((told > 0).float()[None], mask))])
    return rows


def overlap(found: Tensor, values: Tensor) -> Tensor:
    """Return the IoU of masks `(N, cells)` with a mask, or with probabilities, `(cells)`: minima over maxima."""
    both = found @ values
    return both / (found.sum(-1) + values.sum() - both).clamp(min=1)


def inside(found: Tensor, values: Tensor) -> Tensor:
    """Return the mean of values `(cells)` inside each of N masks `(N, cells)`; 0 where a mask is empty."""
    return (found @ values) / found.sum(-1).clamp(min=1)


if __name__ == "__main__":
    main()
