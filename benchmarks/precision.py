"""How far masks move when a model computes in another precision than float32: mask IoU, logits, and the score itself.

    python benchmarks/precision.py --data sets/celebamask                     # the embedded weights, bfloat16
    python benchmarks/precision.py --data sets/pascal --model runs/mine/model # trained weights of your own

Data have any layout of docs/data.md; each picture is asked for the names it holds. Mask IoU is that
of the two masks with each other, both at the threshold the model itself takes, where either has a pixel. The error of
the logits is relative (L2), over all of a set. The score is the mean IoU with the truth, in either precision.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.api import load
from wordmask.data.registry import open_data
from wordmask.images import load_image
from wordmask.ops.masks import iou, pack

if TYPE_CHECKING:
    from wordmask.contracts import Dataset, Segmenter

LOW = (0.9, 0.95, 0.99)
"""Mask IoUs of which is told how many masks lie below."""


def compare(exact: Segmenter, rough: Segmenter, data: Dataset, limit: int | None) -> dict[str, Any]:
    """Both segmenters on the pictures of a set."""
    same: list[float] = []
    scores: list[tuple[float, ...]] = []
    apart = total = 0.0
    for place in range(min(limit or len(data), len(data))):
        sample = data[place]
        known = ~sample.ignored.full() if sample.ignored else np.ones(sample.size, dtype=bool)
        there = [query for query in sample.queries if query.packed.area]
        if not there:
            continue
        picture, asked = load_image(sample.image), [query.prompt for query in there]
        for query, one, other in zip(there, *(s.segment(picture, asked) for s in (exact, rough)), strict=True):
            masks = [found.mask for found in (one, other)]
            if any(mask.any() for mask in masks):
                same.append(iou(*map(pack, masks)))
            truth = pack(query.mask & known)
            scores.append(tuple(iou(pack(mask & known), truth) for mask in masks))
            apart += float(((other.heatmap_logits.values.astype(np.float64) - one.heatmap_logits.values) ** 2).sum())
            total += float((one.heatmap_logits.values.astype(np.float64) ** 2).sum())
    if not same:
        raise SystemExit(f"no mask to compare on {data.name}: every answer was empty in both precisions")
    return {
        "masks": len(same),
        "mask_iou": float(np.mean(same)),
        "median": float(np.median(same)),
        "share_below": {str(level): float(np.mean(np.array(same) < level)) for level in LOW},
        "logit_error": (apart / total) ** 0.5,
        "score": dict(zip(("exact", "rough"), np.mean(scores, axis=0).tolist(), strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of sets")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", help="folder or hub id (default: the embedded weights)")
    parser.add_argument("--dtype", default="bfloat16", help="the other precision")
    parser.add_argument("--limit", type=int, help="pictures of each set")
    parser.add_argument("--out", type=Path, help="JSON of what was measured")
    args = parser.parse_args()
    exact = load(args.model, device="cpu", dtype="float32")
    rough = load(args.model, device="cpu", dtype=args.dtype)
    record: dict[str, Any] = {"model": exact.name, "dtype": args.dtype, "torch": torch.__version__, "sets": {}}
    for folder in args.data:
        data = open_data(folder, split=args.split)
        found = record["sets"][data.name] = compare(exact, rough, data, args.limit)
        low = ", ".join(f"{share:.1%} below {level}" for level, share in found["share_below"].items())
        print(
            f"{data.name}: mask IoU {found['mask_iou']:.4f}, median {found['median']:.4f}, of {found['masks']}; {low}"
        )
        score = found["score"]
        print(f"  logits {found['logit_error']:.1e}; score {score['exact']:.4f} and {score['rough']:.4f}", flush=True)
        if args.out:
            args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
