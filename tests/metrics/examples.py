"""Predictions to score: random ones, degenerate ones, and literal counting of pixels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Example:
    """A prediction and its ground truth."""

    mask: Mask
    ground_truth: Mask
    label: str
    key: str
    probability: NDArray[np.float32]
    ignored: Mask | None = None
    presence: float = 0.5

    @property
    def arrays(self) -> tuple[Mask, Mask, Mask | None]:
        """Prediction, ground truth and ignored pixels."""
        return self.mask, self.ground_truth, self.ignored


def random_example(seed: int) -> Example:
    """Return an example of random size; probabilities are right more often than not."""
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(4, 24, 2))
    ground_truth = rng.random(size) < rng.uniform(0.1, 0.6)
    probability = np.clip(0.35 * ground_truth + rng.normal(0.35, 0.25, size), 0, 1).astype(np.float32)
    ignored = rng.random(size) < 0.15 if seed % 2 else None
    presence = float(np.round(rng.random(), 2))
    return Example(probability > 0.5, ground_truth, "abc"[seed % 3], f"{seed}", probability, ignored, presence)


def flat(true: bool, predicted: bool, *, ignored: bool = False, size: tuple[int, int] = (6, 5)) -> Example:
    """Return an example in which every pixel is alike."""
    return Example(
        mask=np.full(size, predicted),
        ground_truth=np.full(size, true),
        label="a",
        key=f"{true} {predicted} {ignored}",
        probability=np.full(size, 0.99 if predicted else 0.01, np.float32),
        ignored=np.full(size, ignored),
        presence=0.75 if predicted else 0.25,
    )


RANDOM = [random_example(seed) for seed in range(24)]
DEGENERATE = [flat(true, predicted) for true in (False, True) for predicted in (False, True)]
IGNORED = flat(True, True, ignored=True)
EVERY = [*RANDOM, *DEGENERATE, IGNORED]


def kept(example: Example, array: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels that are not ignored, flat."""
    return array.ravel() if example.ignored is None else array[~example.ignored]


def literal_counts(example: Example, mask: Mask | None = None) -> tuple[int, int, int, int]:
    """Return TP, FP, FN, TN by looking at every pixel by itself."""
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    predicted = kept(example, example.mask if mask is None else mask).tolist()
    for said, true in zip(predicted, kept(example, example.ground_truth).tolist(), strict=True):
        cells[said, true] += 1
    return cells[True, True], cells[True, False], cells[False, True], cells[False, False]


def literal_sweep(examples: list[Example], *, by_key: bool) -> dict[str, list[float]]:
    """Return IoU_FG, IoU_BIN and mIoU at the 49 thresholds of CLIPSeg's scorer, pixel by pixel."""
    curves: dict[str, list[float]] = {"iou_fg": [], "iou_bin": [], "miou": []}
    for threshold in np.linspace(0, 1, 51)[1:-1].tolist():
        classes: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for example in examples:
            above = (torch.from_numpy(example.probability) > threshold).numpy()
            sums = classes[example.key if by_key else example.label]
            for place, number in enumerate(literal_counts(example, above)):
                sums[place] += number
        tp, fp, fn, tn = (sum(sums[place] for sums in classes.values()) for place in range(4))
        curves["iou_fg"].append(tp / (1 + tp + fp + fn))
        curves["iou_bin"].append((tp / (1 + tp + fp + fn) + tn / (1 + tn + fp + fn)) / 2)
        curves["miou"].append(sum(c[0] / (1 + c[0] + c[1] + c[2]) for c in classes.values()) / len(classes))
    return curves
