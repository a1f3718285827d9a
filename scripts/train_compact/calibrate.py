"""Fit what turns presence logits into probabilities (Platt scaling) on exhaustive pictures; write it to config.json.

    python scripts/train_compact/calibrate.py --data DATA --cache CACHE --model src/wordmask/weights/compact

Sets weigh the same, and so do "there" and "absent". The threshold is the probability that keeps 95 % of what is
there, the mean over the sets. What is printed as held out is fitted on every other picture and measured on the rest.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from evaluate import ABSENT
from pictures import load_pictures
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from vocabulary import set_names

import wordmask

SETS = ("celebamask", "camvid", "coco")
RECALL = 0.95


def collect(folder: Path, data: Path, cache: Path) -> dict[str, np.ndarray]:
    """Per set: rows of (picture, there, logit)."""
    segmenter = wordmask.load(folder)
    names, result = set_names(data), {}
    for source, shots in load_pictures(data, cache, "val", side=4096, sets=SETS).items():
        rows = []
        asked = [
            *names[source],
            *(n for n in ABSENT if source != "coco" and not (source == "camvid" and n in ("bicycle", "bus", "train"))),
        ]
        with torch.inference_mode():
            conditions = segmenter.model.embed_texts(asked)  # type: ignore[attr-defined]
            for number, shot in enumerate(s for s in shots if s.exhaustive):
                logits = segmenter.model.decode(segmenter.encode(shot.pixels).features, conditions).presence  # type: ignore[attr-defined]
                rows += [(number, float(bool(shot.values(n))), z) for n, z in zip(asked, logits.tolist(), strict=True)]
        result[source] = np.array(rows)
    return result


def weigh(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All rows, and weights that make sets and answers count the same."""
    weights = [np.where(r[:, 1] == 1, 0.5 / r[:, 1].sum(), 0.5 / (1 - r[:, 1]).sum()) for r in rows.values()]
    return np.concatenate(list(rows.values())), np.concatenate(weights) * 1000


def fit(rows: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Scale, shift, threshold."""
    every, weights = weigh(rows)
    model = LogisticRegression(C=1e6).fit(every[:, 2:], every[:, 1], sample_weight=weights)
    scale, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    there = every[:, 1] == 1
    order = np.argsort(every[there, 2])
    lost = np.cumsum(weights[there][order]) / weights[there].sum()  # share of what is there, sets weighing the same
    level = every[there, 2][order][np.searchsorted(lost, 1 - RECALL)]
    return scale, shift, float(1 / (1 + np.exp(-(scale * level + shift))))


def describe(rows: np.ndarray, scale: float, shift: float, threshold: float) -> str:
    p, there = 1 / (1 + np.exp(-(scale * rows[:, 2] + shift))), rows[:, 1] == 1
    kept, false = (p[there] >= threshold).mean(), (p[~there] >= threshold).mean()
    return f"AUROC {roc_auc_score(there, p):.3f}, at {threshold:.2f}: recall {kept:.3f}, false positives {false:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    rows = collect(args.model, args.data, args.cache)
    half = fit({s: r[r[:, 0] % 2 == 0] for s, r in rows.items()})
    for source, r in rows.items():
        print(f"{source}: held out {describe(r[r[:, 0] % 2 == 1], *half)}")
    scale, shift, threshold = fit(rows)
    config = json.loads((args.model / "config.json").read_text())
    config["settings"] |= {
        "presence_scale": round(scale, 4),
        "presence_shift": round(shift, 4),
        "presence_threshold": round(threshold, 3),
    }
    (args.model / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"scale {scale:.3f}, shift {shift:.3f}, threshold {threshold:.3f}")


if __name__ == "__main__":
    main()
