"""What averaging the answers for an image and for its mirror image gives, in paired differences.

    python benchmarks/mirror_average.py DATA --out mirrored --json benchmarks/results/mirror_average.json

DATA holds the sets that the embedded weights are trained on; val parts are measured, as the package answers and with
every image encoded twice: the mean of both presence logits, the mean of both probabilities of each cell. Names that
say left or right would have to change places: none of these sets has any. Nothing is fitted: calibration, gate and
thresholds are those of the weights.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from wordmask.contracts import DenseOutput
from wordmask.data.registry import open_data
from wordmask.evaluation.api import evaluate
from wordmask.evaluation.records import read_lines
from wordmask.evaluation.score.labels import image_counts, paired_label_scores
from wordmask.evaluation.score.rows import Rows
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.dense import DenseSegmenter
from wordmask.metrics.presence import auroc, counts_by_score

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    Samples = NDArray[np.int64]

RUNS = (
    ("pascal", "val", "masks"),
    ("pascal", "val", "labels"),
    ("everyday", "val-voc20", "boxes"),
    ("everyday", "val-coco80", "boxes"),
)
DRAWS = 1000


class MirrorAverage(CompactModel):
    """The compact network, asked about an image and about its mirror image."""

    def encode_pixels(self, pixels: torch.Tensor) -> Any:
        """Return the features of normalised pixels (B, 3, H, W) and of their mirror images."""
        return super().encode_pixels(pixels), super().encode_pixels(pixels.flip(-1))

    def decode(self, features: Any, conditions: torch.Tensor) -> DenseOutput:
        """Return logits of the mean probabilities (P, h, w), and the means of both presence logits (P,)."""
        plain, turned = (super(MirrorAverage, self).decode(one, conditions) for one in features)
        probability = (plain.logits.float().sigmoid() + turned.logits.float().flip(-1).sigmoid()) / 2
        assert plain.presence is not None
        assert turned.presence is not None
        return DenseOutput(probability.logit(1e-6), (plain.presence + turned.presence) / 2)


def segmenters() -> dict[str, DenseSegmenter]:
    """Return the embedded weights, alone and with mirror images."""
    plain: Any = wordmask.load()
    model = plain.model
    turned = MirrorAverage(f"{model.name}-mirrored", model.network, model.tokenizer, model.settings)
    return {"plain": plain, "mirrored": DenseSegmenter(turned, device=plain.device, dtype=plain.dtype)}


def weighted(values: NDArray[Any], weights: NDArray[np.int64]) -> float:
    """Return the weighted mean (N,); NaN of nothing."""
    return float((values * weights).sum() / weights.sum()) if weights.any() else float("nan")


def row_scores(rows: Rows, images: Samples) -> dict[str, float]:
    """Return scores over images, each as often as it is named.

    Args:
        rows: Of one model.
        images: Indices of images, int64 (N,).
    """
    weight = np.bincount(images, minlength=rows.images)[rows.image]
    there, drawn = rows.present, rows.masked
    presence = np.repeat(rows.presence, weight), np.repeat(there, weight)
    both = there & drawn
    right, wrong, missed = (rows.column(name) for name in ("tp", "fp", "fn"))
    return {
        "auroc": auroc(*counts_by_score(*presence)),
        "absent_with_mask": weighted(drawn, weight * ~there),
        "found": weighted(drawn, weight * there),
        "precision": weighted(right / np.maximum(right + wrong, 1), weight * both),
        "iou": weighted(right / np.maximum(right + wrong + missed, 1), weight * there),
    }


def paired(measure: Callable[[Rows, Samples], dict[str, float]], one: Rows, other: Rows) -> dict[str, Any]:
    """Return both models' scores and their difference with its 95 % interval over images."""
    whole = np.arange(one.images)
    first, second = measure(one, whole), measure(other, whole)
    draw, differences = np.random.default_rng(0), []
    for _ in range(DRAWS):
        images = draw.integers(0, one.images, one.images)
        a, b = measure(one, images), measure(other, images)
        differences.append([b[key] - a[key] for key in a])
    low, high = np.nanpercentile(np.array(differences), (2.5, 97.5), axis=0)
    return {
        key: {"plain": first[key], "mirrored": second[key], "difference": [second[key] - first[key], low[i], high[i]]}
        for i, key in enumerate(first)
    }


def measure_set(data: Path, out: Path, limit: int | None, run: tuple[str, str, str]) -> dict[str, Any]:
    """Evaluate both on one set and return the comparison."""
    name, split, task = run
    dataset = open_data(data / name, split=split, exhaustive=True if name == "pascal" else None)
    records, places = [], []
    for kind, segmenter in segmenters().items():
        place = out / f"{name}-{split}-{task}" / kind
        evaluate(segmenter, dataset, task=task, folder=place, limit=limit)
        records.append(list(read_lines(place / "samples.jsonl", limit or len(dataset))))
        places.append(place)
    if task == "labels":
        classes = (*dataset.names, "background")
        counts = [image_counts(one, classes, len(dataset.names)) for one in records]
        results = [json.loads((place / "result.json").read_text()) for place in places]
        return {"miou": [r["scores"]["miou"] for r in results], "difference": paired_label_scores(*counts, seed=0)}
    return paired(row_scores, *(Rows.of(one) for one in records))


def main() -> None:
    """Measure every set, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", type=int, help="images of each set; default: all")
    options = parser.parse_args()
    measure = partial(measure_set, options.data, options.out, options.limit)
    figures = {" ".join(run): measure(run) for run in RUNS}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
