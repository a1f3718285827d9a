"""Measure a segmenter on the validation splits, through the public interface, at the pictures' own resolution.

    python scripts/train_compact/evaluate.py --data DATA --cache CACHE --out results.json [--model FOLDER]

For every picture each name of its set that is there is asked for; where the set is exhaustive, absent names too.
    mIoU           mean over names of sum(intersection) / sum(union) over the pictures that contain the name
    picture IoU    mean over (picture, name) of the IoU
    presence       AUROC and false-positive rate at 95 % recall over (picture, name), exhaustive pictures only
    synonyms       the same masks asked for by words that were never names in training on pictures
    never taught   the same by words that the phrase encoder was not trained on either
    mirror         the mirrored picture with left and right swapped in the words, masks compared
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from augment import mirror, mirror_name
from pictures import IGNORE, Shot, load_pictures
from sklearn.metrics import roc_auc_score, roc_curve
from vocabulary import MERGED, SETS, set_names

import wordmask
from wordmask.api import WEIGHTS

SYNONYMS = {  # labelled name -> words of the same meaning that were never a name in training on pictures
    "car": "automobile",
    "person": "human",
    "bicycle": "bike",
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "settee",
    "tv": "television set",
    "horse": "stallion",
    "dog": "hound",
    "cat": "kitty",
    "sheep": "lamb",
    "cow": "cattle",
    "train": "railway train",
    "boat": "vessel",
    "bus": "autobus",
    "potted plant": "plant in a pot",
    "dining table": "dinner table",
    "pavement": "sidewalk",
    "road": "roadway",
    "eyeglasses": "specs",
    "hair": "hairdo",
    "left eyebrow": "left brow",
    "right eyebrow": "right brow",
    "upper lip": "top lip",
    "lower lip": "bottom lip",
    "hood": "bonnet",
    "front glass": "front windshield",
    "back bumper": "rear bumper",
    "vegetation": "greenery",
    "clothing": "apparel",
    "pants": "slacks",
    "tree": "trees",
    "front left light": "left headlight",
}
UNTAUGHT = {  # labelled name -> words that the phrase encoder was never trained on either
    "dog": "mutt",
    "cat": "tomcat",
    "motorcycle": "moped",
    "boat": "sailboat",
    "bus": "minibus",
    "airplane": "airliner",
    "car": "hatchback",
    "cow": "heifer",
    "tv": "telly",
    "bicycle": "pedal bike",
    "road": "highway",
    "hair": "haircut",
    "eyeglasses": "eyewear",
    "pants": "trouser",
    "upper lip": "lip at the top",
    "left eye": "eye, left",
    "front bumper": "bumper at the front",
    "back left door": "door at the back on the left",
}
ABSENT = [
    "elephant",
    "bicycle",
    "airplane",
    "bus",
    "train",
    "giraffe",
    "pizza",
    "toilet",
    "laptop",
    "boat",
    "sheep",
    "keyboard",
]


class Tally:
    """Intersections and unions by set and name."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))

    def add(self, source: str, name: str, mask: np.ndarray, truth: np.ndarray, known: np.ndarray) -> float:
        inter, union = int((mask & truth & known).sum()), int(((mask | truth) & known).sum())
        self.rows[source][name].append((inter, union))
        return inter / max(union, 1)

    def report(self) -> dict:
        result = {}
        for source, names in self.rows.items():
            by_name = {n: sum(i for i, _ in r) / max(sum(u for _, u in r), 1) for n, r in sorted(names.items())}
            each = [i / max(u, 1) for r in names.values() for i, u in r]
            result[source] = {
                "mIoU": float(np.mean(list(by_name.values()))),
                "picture IoU": float(np.mean(each)),
                "pairs": len(each),
                "names": by_name,
            }
        return result


class Others:
    """The same things asked for by other words: picture IoU beside that of the labelled name."""

    def __init__(self, words: dict[str, str]) -> None:
        self.words, self.named, self.asked = words, defaultdict(list), defaultdict(list)

    def add_named(self, name: str, iou: float) -> None:
        if name in self.words:
            self.named[f"{name} -> {self.words[name]}"].append(iou)

    def ask(self, segmenter, encoded, source: str, shot: Shot, names: list[str]) -> None:  # type: ignore[no-untyped-def]
        names = [n for n in names if n in self.words]
        if not names:
            return
        for found, name in zip(segmenter.segment(encoded, [self.words[n] for n in names]), names, strict=True):
            iou = Tally().add(source, name, found.mask, truth_of(shot, name), shot.labels != IGNORE)
            self.asked[f"{name} -> {self.words[name]}"].append(iou)

    def report(self) -> dict:
        pairs = {
            k: {"name": float(np.mean(self.named[k])), "synonym": float(np.mean(rows)), "pairs": len(rows)}
            for k, rows in sorted(self.asked.items())
        }
        ratios = [v["synonym"] / v["name"] for v in pairs.values() if v["name"] > 0.05 and v["pairs"] >= 3]
        return {
            "counted": len(ratios),
            "mean ratio": float(np.mean(ratios)) if ratios else None,
            "share at 0.8 or more": float(np.mean([r >= 0.8 for r in ratios])) if ratios else None,
            "pairs": pairs,
        }


def load_with(model: Path | None, settings: dict[str, Any]) -> Any:
    """A segmenter of a folder (None: the embedded weights) with other settings; the folder stays as it is."""
    folder = model or WEIGHTS / "compact"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "model"))
        config = json.loads((copy / "config.json").read_text())
        config["settings"] |= settings
        (copy / "config.json").write_text(json.dumps(config))
        return wordmask.load(copy)


def never_there(source: str) -> list[str]:
    """Everyday things that no picture of an exhaustive set holds."""
    if source not in ("celebamask", "camvid"):
        return []
    return [n for n in ABSENT if not (source == "camvid" and n in ("bicycle", "bus", "train"))]


def truth_of(shot: Shot, name: str) -> np.ndarray:
    return np.isin(shot.labels, shot.values(name))


def evaluate(segmenter, shots: dict[str, list[Shot]], names: dict[str, list[str]], limit: int | None) -> dict:
    tally, merged, presence = Tally(), Tally(), defaultdict(list)
    others = {"synonyms": Others(SYNONYMS), "words never taught": Others(UNTAUGHT)}
    for source, rows in shots.items():
        start = time.time()
        for shot in rows[:limit]:
            encoded = segmenter.encode(shot.pixels)
            known = shot.labels != IGNORE
            there = sorted(set(shot.atoms.values()))
            unions = [n for n in MERGED.get(source, {}) if shot.values(n) and n not in there]
            absent = []
            if shot.exhaustive and source != "objects":
                absent = [n for n in (*names[source], *never_there(source)) if not shot.values(n)]
            result = segmenter.segment(encoded, [*there, *unions, *absent])
            for found, name in zip(result, [*there, *unions, *absent], strict=True):
                if name in absent:
                    presence[source].append((0, found.presence, name))
                    continue
                truth = truth_of(shot, name)
                if shot.exhaustive:
                    presence[source].append((1, found.presence, name))
                iou = (merged if name in unions else tally).add(source, name, found.mask, truth, known)
                for words in others.values():
                    words.add_named(name, iou)
            for words in others.values():
                words.ask(segmenter, encoded, source, shot, [*there, *unions])
        print(f"{source}: {len(rows[:limit])} pictures, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    return {
        "sets": tally.report(),
        "merged": merged.report(),
        "presence": {s: presence_report(rows) for s, rows in presence.items() if any(r[0] == 0 for r in rows)},
        **{group: words.report() for group, words in others.items()},
    }


def presence_report(rows: list[tuple[int, float, str]]) -> dict:
    truth, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    fpr, tpr, _ = roc_curve(truth, score)
    return {
        "AUROC": float(roc_auc_score(truth, score)),
        "FPR at 95 % recall": float(fpr[np.searchsorted(tpr, 0.95)]),
        "pairs": len(rows),
        "absent": int((truth == 0).sum()),
        "Brier": float(((score - truth) ** 2).mean()),
    }


def mirror_consistency(segmenter, shots: dict[str, list[Shot]], limit: int | None) -> dict:
    """Names with a side, asked of the mirrored picture with left and right swapped: agreement and quality."""
    same, plainly, mirrored = Tally(), Tally(), Tally()
    for source in ("celebamask", "carparts"):
        for shot in shots[source][:limit]:
            names = sorted(n for n in set(shot.atoms.values()) if {"left", "right"} & set(n.split()))
            if not names:
                continue
            plain = segmenter.segment(shot.pixels, names)
            swapped = segmenter.segment(np.ascontiguousarray(mirror(shot).pixels), [mirror_name(n) for n in names])
            known = shot.labels != IGNORE
            for a, b, name in zip(plain, swapped, names, strict=True):
                back, truth = b.mask[:, ::-1], truth_of(shot, name)
                if a.mask.any() or back.any():
                    same.add(source, name, back, a.mask, np.ones_like(known))
                plainly.add(source, name, a.mask, truth, known)
                mirrored.add(source, name, back, truth, known)
    reports = same.report(), plainly.report(), mirrored.report()
    return {
        s: {
            "agreement": reports[0][s]["mIoU"],
            "plain mIoU": reports[1][s]["mIoU"],
            "mirrored mIoU": reports[2][s]["mIoU"],
        }
        for s in reports[1]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a folder of weights (default: those of the package)")
    parser.add_argument(
        "--settings", type=json.loads, default={}, help="other settings than the model's: '{\"presence_threshold\": 0}'"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--split", default="val", help="train tells how well a model fits what it was trained on")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shots = load_pictures(args.data, args.cache, args.split, side=4096, sets=tuple(args.sets))
    segmenter = load_with(args.model, args.settings)
    report = evaluate(segmenter, shots, set_names(args.data), args.limit)
    if {"celebamask", "carparts"} <= set(args.sets):
        report["mirror"] = mirror_consistency(segmenter, shots, args.limit)
    report["machine"] = {
        "cpu": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    for source, row in report["sets"].items():
        print(f"{source:11s} mIoU {row['mIoU']:.3f}  picture IoU {row['picture IoU']:.3f}  ({row['pairs']} pairs)")
    for source, row in report["presence"].items():
        print(f"presence {source:11s} AUROC {row['AUROC']:.3f}  FPR95 {row['FPR at 95 % recall']:.3f}")
    for group in ("synonyms", "words never taught"):
        print(group, report[group]["mean ratio"], report[group]["share at 0.8 or more"])
    for source, row in report.get("mirror", {}).items():
        print(f"mirror {source}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()))


if __name__ == "__main__":
    main()
