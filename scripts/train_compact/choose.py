"""Compare canvases and mask thresholds of a model on every other validation picture, without the presence gate.

python scripts/train_compact/choose.py --data DATA --cache CACHE --model FOLDER --canvas 352 384 --threshold best 0.4

The threshold "best" cuts each mask where its expected IoU is highest; calibrate the model first, and mind that the
calibration has seen these pictures.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from pathlib import Path

import numpy as np
from evaluate import evaluate, load_with
from pictures import Shot, load_pictures
from vocabulary import set_names

SETS = ("celebamask", "camvid", "pascal", "carparts", "coco", "clothing", "facade")


def scores(
    model: Path, shots: dict[str, list[Shot]], data: Path, canvas: int, threshold: float | None, gate: float
) -> dict[str, float]:
    """Return the mIoU by set of a model with other settings."""
    settings = {"long_side": canvas, "threshold": threshold, "presence_threshold": gate}
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
    parser.add_argument("--gate", type=float, default=0.0, help="presence below which a mask is empty")
    args = parser.parse_args()
    shots = {s: rows[::2] for s, rows in load_pictures(args.data, args.cache, "val", side=4096, sets=SETS).items()}
    for canvas in args.canvas:
        for threshold in args.threshold:
            by_set = scores(args.model, shots, args.data, canvas, threshold, args.gate)
            print(
                canvas,
                "best" if threshold is None else threshold,
                round(float(np.mean(list(by_set.values()))), 4),
                by_set,
                flush=True,
            )


if __name__ == "__main__":
    main()
