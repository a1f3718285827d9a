"""Compare the masks of `pmp` with those of `compact` on labelled sets, image by image on the same features.

    python benchmarks/pmp_scores.py --data ../shared/data --limit 40 --out scores.json

Prints for each set: mIoU (mean over names of summed intersection over summed union) of both, mean IoU of both, and the
mean IoU of the best candidate.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from wordmask.data.registry import open_data

if TYPE_CHECKING:
    from wordmask.data.sample import Sample

SETS = (
    "coco", "pascal", "people", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects",
)  # fmt: skip


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="pmp")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--limit", type=int, default=10_000, help="images of a set, evenly spaced")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    segmenter: Any = wordmask.load(asked.model, device="cpu")
    compact: Any = wordmask.load("compact", device="cpu")
    scores = {}
    for name in asked.sets.split(","):
        samples = open_data(asked.data / name, split="val")
        number = min(asked.limit, len(samples))
        rows = []
        for place in range(number):
            rows += compared(samples[place * len(samples) // number], segmenter, compact)
        scores[name] = {"images": number, **summary(rows)}
        print(name, scores[name], flush=True)
        asked.out.write_text(json.dumps(scores, indent=1), encoding="utf-8")


def compared(sample: Sample, segmenter: Any, compact: Any) -> list[dict[str, Any]]:
    """Return a row for each name of an image: intersections, unions, and the IoU of the best candidate."""
    queries = [query for query in sample.queries if query.packed.area]
    if not queries:
        return []
    encoded = segmenter.encode(sample.image)
    prompts = [query.prompt for query in queries]
    ours = segmenter.segment(encoded, prompts)
    theirs = compact.segment(replace(encoded, features=encoded.features.trunk, model=compact.name), prompts)
    seen = np.ones(sample.size, np.bool_) if sample.ignored is None else ~sample.ignored.full()
    rows = []
    for query, one, other in zip(queries, ours, theirs, strict=True):
        true = query.mask & seen
        parts = [overlap(true, found.mask & seen) for found in (other, one)]
        best = max(
            [parts[1], *(overlap(true, c.region.packed(one.threshold).full() & seen) for c in one.candidates)], key=iou
        )
        rows.append({"name": query.label, "compact": parts[0], "pmp": parts[1], "best": iou(best)})
    return rows


def overlap(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return intersection and union in pixels."""
    return int((one & other).sum()), int((one | other).sum())


def iou(parts: tuple[int, int]) -> float:
    """Return intersection over union."""
    return parts[0] / max(parts[1], 1)


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return mIoU and mean IoU of both models, and the mean of the best candidates."""
    found = {}
    for model in ("compact", "pmp"):
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        for row in rows:
            sums[row["name"]] += row[model]
        found[f"{model} mIoU"] = round(float(np.mean([i / max(u, 1) for i, u in sums.values()])), 4)
        found[f"{model} IoU"] = round(float(np.mean([iou(row[model]) for row in rows])), 4)
    return found | {"best candidate": round(float(np.mean([row["best"] for row in rows])), 4)}


if __name__ == "__main__":
    main()
