r"""Compare settings of a model on every other validation picture, without the presence gate unless they have one.

    python scripts/train_compact/choose.py --data DATA --cache CACHE --model FOLDER \
        --settings '{}' '{"long_side": 352}' '{"threshold": 0.4}' '{"affinity_sharpness": null}'

{} is the model as it is. Its calibration has seen these pictures and is not made anew for other settings.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import evaluate, load_with
from pictures import Shot, load_pictures
from vocabulary import set_names

SETS = ("celebamask", "camvid", "pascal", "carparts", "coco", "clothing", "facade")


def scores(model: Path, shots: dict[str, list[Shot]], data: Path, settings: dict[str, Any]) -> dict[str, float]:
    """Return the mIoU by set of a model with other settings."""
    report = evaluate(load_with(model, {"presence_threshold": 0.0} | settings), shots, set_names(data), None)
    return {source: round(row["mIoU"], 3) for source, row in report["sets"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, nargs="+", required=True, metavar="JSON")
    args = parser.parse_args()
    shots = {s: rows[::2] for s, rows in load_pictures(args.data, args.cache, "val", side=4096, sets=SETS).items()}
    for settings in args.settings:
        by_set = scores(args.model, shots, args.data, settings)
        print(json.dumps(settings), round(float(np.mean(list(by_set.values()))), 4), by_set, flush=True)


if __name__ == "__main__":
    main()
