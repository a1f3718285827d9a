"""Compare canvases, mask thresholds and likenesses on every other validation picture, without the presence gate.

python scripts/train_compact/choose.py --data DATA --cache CACHE --model FOLDER --canvas 352 384 --likeness 0 7

The threshold "best" cuts each mask where its expected IoU is highest; calibrate the model first, and mind that the
calibration has seen these pictures.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import evaluate, load_with
from pictures import Shot, load_pictures
from vocabulary import set_names

SETS = ("celebamask", "camvid", "pascal", "carparts", "coco", "clothing", "facade")


def scores(model: Path, shots: dict[str, list[Shot]], data: Path, settings: dict[str, Any]) -> dict[str, float]:
    """Return the mIoU by set of a model with other settings."""
    report = evaluate(load_with(model, settings), shots, set_names(data), None)
    return {source: round(row["mIoU"], 3) for source, row in report["sets"].items()}


def level(text: str) -> float | None:
    """A threshold of the command line."""
    value = None if text == "best" else float(text)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(text)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--canvas", type=int, nargs="+", default=[352])
    parser.add_argument("--threshold", type=level, nargs="+", default=[None], help="a probability, or best")
    parser.add_argument("--likeness", type=float, nargs="+", default=[0.0], help="0: each cell answers alone")
    parser.add_argument("--gate", type=float, default=0.0, help="presence below which a mask is empty")
    args = parser.parse_args()
    shots = {s: rows[::2] for s, rows in load_pictures(args.data, args.cache, "val", side=4096, sets=SETS).items()}
    for canvas, threshold, likeness in itertools.product(args.canvas, args.threshold, args.likeness):
        settings = {"long_side": canvas, "threshold": threshold, "likeness": likeness, "presence_threshold": args.gate}
        by_set = scores(args.model, shots, args.data, settings)
        mean = round(float(np.mean(list(by_set.values()))), 4)
        print(canvas, "best" if threshold is None else threshold, likeness, mean, by_set, flush=True)


if __name__ == "__main__":
    main()
