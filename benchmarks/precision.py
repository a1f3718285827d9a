"""Compare the masks of a model in another precision with those in float32: mask IoU, logits, and mIoU.

    python benchmarks/precision.py --data sets/celebamask                     # the embedded weights, bfloat16
    python benchmarks/precision.py --data sets/pascal --model runs/mine/model # trained weights of your own

Data have any layout of docs/data.md; each image is prompted with the names present in it. Mask IoU is that of the two
masks with each other, both at the model's own threshold, where at least one is not empty. The error of the logits is
relative (L2), over a whole set. The score is the mean IoU with the ground truth, in each precision.
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
    from numpy.typing import NDArray

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.results import Found

LIMITS = (0.9, 0.95, 0.99)
"""Mask IoUs for which the fraction of masks below is reported."""


def compare(exact: Segmenter, rough: Segmenter, data: Dataset, limit: int | None) -> dict[str, Any]:
    """Return figures of both segmenters on the images of a data set."""
    same: list[float] = []
    scores: list[tuple[float, ...]] = []
    squared_error = total = 0.0
    for place in range(min(limit or len(data), len(data))):
        sample = data[place]
        known = ~sample.ignored.full() if sample.ignored else np.ones(sample.size, dtype=bool)
        present = [query for query in sample.queries if query.packed.area]
        if not present:
            continue
        image, prompts = load_image(sample.image), [query.prompt for query in present]
        for query, one, other in zip(present, *(s.segment(image, prompts) for s in (exact, rough)), strict=True):
            masks = [found.mask for found in (one, other)]
            if any(mask.any() for mask in masks):
                same.append(iou(*map(pack, masks)))
            ground_truth = pack(query.mask & known)
            scores.append(tuple(iou(pack(mask & known), ground_truth) for mask in masks))
            expected, got = (logits_of(found) for found in (one, other))
            squared_error += float(((got - expected) ** 2).sum())
            total += float((expected**2).sum())
    if not same:
        raise SystemExit(f"no mask to compare on {data.name}: all were empty in both precisions")
    return {
        "masks": len(same),
        "mask_iou": float(np.mean(same)),
        "median": float(np.median(same)),
        "fraction_below": {str(limit): float(np.mean(np.array(same) < limit)) for limit in LIMITS},
        "logit_error": (squared_error / total) ** 0.5,
        "score": dict(zip(("exact", "rough"), np.mean(scores, axis=0).tolist(), strict=True)),
    }


def logits_of(found: Found) -> NDArray[np.float64]:
    """Return the logits (h, w) of a dense model's heatmap."""
    assert found.heatmap_logits is not None
    return found.heatmap_logits.values.astype(np.float64)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of data sets")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", help="folder or hub id (default: the embedded weights)")
    parser.add_argument("--dtype", default="bfloat16", help="the other precision")
    parser.add_argument("--limit", type=int, help="images of each set")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    args = parser.parse_args()
    exact = load(args.model, device="cpu", dtype="float32")
    rough = load(args.model, device="cpu", dtype=args.dtype)
    record: dict[str, Any] = {"model": exact.name, "dtype": args.dtype, "torch": torch.__version__, "sets": {}}
    for folder in args.data:
        data = open_data(folder, split=args.split)
        found = record["sets"][data.name] = compare(exact, rough, data, args.limit)
        low = ", ".join(f"{part:.1%} below {limit}" for limit, part in found["fraction_below"].items())
        print(
            f"{data.name}: mask IoU {found['mask_iou']:.4f}, median {found['median']:.4f}, of {found['masks']}; {low}"
        )
        score = found["score"]
        print(f"  logits {found['logit_error']:.1e}; score {score['exact']:.4f} and {score['rough']:.4f}", flush=True)
        if args.out:
            args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
