"""Judgements to score: random ones, degenerate ones, and pieces of literal counting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordmask.metrics.judged import Judged

Mask = NDArray[np.bool_]


def random_judged(seed: int, **given: Any) -> Judged:
    """Return a judgement of random size; probabilities agree with the truth more often than not."""
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(4, 24, 2))
    truth = rng.random(size) < rng.uniform(0.1, 0.6)
    probability = np.clip(0.35 * truth + rng.normal(0.35, 0.25, size), 0, 1).astype(np.float32)
    made: dict[str, Any] = {
        "probability": probability,
        "mask": probability > 0.5,
        "truth": truth,
        "ignored": rng.random(size) < 0.15 if seed % 2 else None,
        "label": "abc"[seed % 3],
        "key": f"sample {seed}",
        "presence": float(np.round(rng.random(), 2)),
    }
    return Judged(**(made | given))


def flat(truth: bool, answer: bool, *, ignored: bool = False, size: tuple[int, int] = (6, 5)) -> Judged:
    """Return a judgement in which every pixel is alike."""
    return Judged(
        mask=np.full(size, answer),
        truth=np.full(size, truth),
        label="a",
        key=f"{truth} {answer} {ignored}",
        probability=np.full(size, 0.99 if answer else 0.01, np.float32),
        ignored=np.full(size, ignored),
        presence=0.75 if answer else 0.25,
    )


RANDOM = [random_judged(seed) for seed in range(24)]
DEGENERATE = [flat(truth, answer) for truth in (False, True) for answer in (False, True)]
IGNORED = flat(True, True, ignored=True)
EVERY = [*RANDOM, *DEGENERATE, IGNORED]


def kept(judged: Judged, array: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels that count, flat."""
    return array.ravel() if judged.ignored is None else array[~judged.ignored]


def literal_counts(judged: Judged, mask: Mask | None = None) -> tuple[int, int, int, int]:
    """Return TP, FP, FN, TN by looking at every pixel by itself."""
    cells = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    answered = kept(judged, judged.mask if mask is None else mask).tolist()
    for answer, true in zip(answered, kept(judged, judged.truth).tolist(), strict=True):
        cells[answer, true] += 1
    return cells[True, True], cells[True, False], cells[False, True], cells[False, False]
