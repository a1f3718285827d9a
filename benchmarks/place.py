"""Measure words of place on real instances: does "the X on the left" choose the right one of two or three?

    python benchmarks/place.py DATA... --split val --model compact

DATA are folders with instances (COCO JSON). Phrases are computed from the ground-truth masks where exactly one instance
fits them: sides, order from a side, largest and smallest. The answer is right if the instance with the highest IoU is
the one that is meant. "Found" are answers that are not empty. The mirror test asks a mirrored image with left and right
swapped and counts answers whose masks are the same (IoU above 0.5).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from wordmask.data.registry import open_data
from wordmask.images import load_image
from wordmask.ops.masks import PackedMask, iou, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.data.sample import Sample

SMALLEST, APART, RATIO = 0.004, 0.15, 1.5
"""Smallest instance and least distance of centres as fractions of the image; least ratio of areas for "largest"."""


@dataclass(frozen=True)
class Case:
    """A phrase about one of several instances.

    Attributes:
        phrase: The phrase.
        kind: "side", "order" or "size".
        target: Position of the instance that is meant.
        masks: All instances of the name.
        name: The name.
    """

    phrase: str
    kind: str
    target: int
    masks: tuple[PackedMask, ...]
    name: str


def cases_of(sample: Sample) -> list[Case]:
    """Return phrases about a sample's instances that fit exactly one of them."""
    found: list[Case] = []
    for query in sample.queries:
        masks = tuple(one.mask for one in query.instances if one.mask is not None and one.mask.area)
        crowd = any(one.crowd or one.mask is None for one in query.instances)
        if not crowd and 2 <= len(masks) <= 3 and are_apart(masks, sample.size):
            found += [Case(*said, masks, query.label) for said in phrases(query.label, masks)]
    return found


def are_apart(masks: Sequence[PackedMask], size: tuple[int, int]) -> bool:
    """Return whether instances are large enough, side by side and far enough apart for words to tell them."""
    boxes = np.array([mask.window for mask in masks], dtype=float)
    across = (boxes[:, 0] + boxes[:, 2]) / 2 / size[1]
    wide = all(abs(across[i] - across[j]) >= APART for i, j in combinations(range(len(masks)), 2))
    large = all(mask.area >= SMALLEST * size[0] * size[1] for mask in masks)
    return wide and large and all(box_iou(boxes[i], boxes[j]) < 0.1 for i, j in combinations(range(len(masks)), 2))


def box_iou(first: Any, second: Any) -> float:
    """Return the IoU of two boxes XYXY."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    joint = float(np.prod(sides.clip(min=0)))
    areas = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return joint / (areas - joint)


def phrases(name: str, masks: Sequence[PackedMask]) -> Iterator[tuple[str, str, int]]:
    """Yield phrase, kind and the instance that is meant."""
    order = sorted(range(len(masks)), key=lambda i: masks[i].window[0] + masks[i].window[2])
    yield f"the {name} on the left", "side", order[0]
    yield f"the {name} on the right", "side", order[-1]
    yield f"the second {name} from the left", "order", order[1]
    yield f"the second {name} from the right", "order", order[-2]
    by_area = sorted(range(len(masks)), key=lambda i: -masks[i].area)
    if masks[by_area[0]].area >= RATIO * masks[by_area[1]].area:
        yield f"the largest {name}", "size", by_area[0]
    if masks[by_area[-2]].area >= RATIO * masks[by_area[-1]].area:
        yield f"the smallest {name}", "size", by_area[-1]


def is_right(answer: PackedMask, case: Case) -> bool:
    """Return whether an answer fits the instance that is meant best."""
    scores = [iou(answer, mask) for mask in case.masks]
    return max(scores) > 0 and int(np.argmax(scores)) == case.target


def swapped(phrase: str) -> str:
    """Return a phrase with left and right exchanged."""
    return phrase.replace("left", "\0").replace("right", "left").replace("\0", "right")


def measure(segmenter: Any, path: str, split: str | None, *, mirror: bool) -> list[dict[str, Any]]:
    """Return one row for each phrase of a data set."""
    rows: list[dict[str, Any]] = []
    data = open_data(path, split=split)
    for index in range(len(data)):
        sample = data[index]
        cases = cases_of(sample)
        if not cases:
            continue
        image = load_image(sample.image).pixels
        answers = segmenter.segment(image, [case.phrase for case in cases])
        other: Any = [None] * len(cases)
        if mirror:
            flipped = np.ascontiguousarray(image[:, ::-1])
            other = segmenter.segment(flipped, [swapped(case.phrase) for case in cases])
        for case, found, again in zip(cases, answers, other, strict=True):
            row: dict[str, Any] = {"set": Path(path).name, "key": sample.key, "phrase": case.phrase, "kind": case.kind}
            row |= {"found": bool(found.area), "right": is_right(found.packed, case)}
            row["iou"] = iou(found.packed, case.masks[case.target]) if found.area else 0.0
            if again is not None and found.area and again.area:
                row["same"] = iou(found.packed, pack(np.ascontiguousarray(again.mask[:, ::-1]))) > 0.5
            rows.append(row)
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return counts and fractions; intervals are 95 % by resampling images."""
    found = [row for row in rows if row["found"]]
    same = [row["same"] for row in rows if "same" in row]
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_image[row["key"]].append(row)
    groups, draw = list(by_image.values()), np.random.default_rng(0)
    means = []
    for _ in range(1000 if groups else 0):
        drawn = [row for i in draw.integers(0, len(groups), len(groups)) for row in groups[i]]
        kept = [row["right"] for row in drawn if row["found"]]
        means.append((np.mean([row["right"] for row in drawn]), np.mean(kept) if kept else np.nan))
    low_high = np.nanpercentile(np.array(means).reshape(-1, 2), [2.5, 97.5], axis=0) if means else np.zeros((2, 2))
    return {
        "phrases": len(rows),
        "images": len(groups),
        "found": fraction([row["found"] for row in rows]),
        "right_of_all": fraction([row["right"] for row in rows]),
        "right_of_all_interval": [round(float(value), 3) for value in low_high[:, 0]],
        "right_of_found": fraction([row["right"] for row in found]),
        "right_of_found_interval": [round(float(value), 3) for value in low_high[:, 1]],
        "mean_iou": fraction([row["iou"] for row in rows]),
        "mirror": fraction(same),
    }


def fraction(values: Sequence[Any]) -> float | None:
    """Return the mean, rounded; None of nothing."""
    return round(float(np.mean(values)), 4) if values else None


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--no-mirror", action="store_true", help="leave the mirror test out")
    parser.add_argument("--out", type=Path, help="file of the figures and the row of every phrase")
    args = parser.parse_args()
    segmenter = wordmask.load(args.model)
    rows = [row for path in args.data for row in measure(segmenter, path, args.split, mirror=not args.no_mirror)]
    tables = {"all": summary(rows)}
    tables |= {name: summary([row for row in rows if row["set"] == name]) for name in {r["set"] for r in rows}}
    tables |= {kind: summary([row for row in rows if row["kind"] == kind]) for kind in ("side", "order", "size")}
    for name, table in tables.items():
        print(f"{name:10}", json.dumps(table))
    if args.out:
        args.out.write_text(json.dumps({"model": args.model, "split": args.split, "tables": tables, "rows": rows}))


if __name__ == "__main__":
    main()
