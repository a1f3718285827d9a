"""Processor time of proposals beside the dense decoder, and an image of proposals with and without a prompt.

python benchmarks/pmp_cost.py --image sample:astronaut --prompt face --out proposals.png
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import wordmask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = ("face", "hair", "person", "helmet", "flag", "suit", "hand", "wall", "arm", "ear")


def main() -> None:
    """Print milliseconds of processor time, and draw proposals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="sample:astronaut")
    parser.add_argument("--prompt", default="face")
    parser.add_argument("--model", default="pmp")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pmp: Any = wordmask.load(asked.model, device="cpu")
    compact: Any = wordmask.load("compact", device="cpu")
    encoded = pmp.encode(asked.image)
    trunk = replace(encoded, features=encoded.features.trunk, model=compact.name)
    both = spent([partial(one.encode, asked.image) for one in (compact, pmp)], asked.rounds)
    print("encoding: compact {:.1f} ms, pmp {:.1f} more".format(*both))
    for count in (1, 2, 10):
        names = list(NAMES[:count])
        calls = [
            partial(compact.segment, trunk, names, presence_threshold=0),
            partial(pmp.segment, encoded, names, presence_threshold=0),
            partial(with_candidates, pmp, encoded, names),
        ]
        times = [value / count for value in spent(calls, asked.rounds)]
        print("{} prompts: {:.2f} ms a prompt, {:.2f} more by pmp, {:.2f} more with candidates".format(count, *times))
    if asked.out:
        draw(pmp, encoded, asked.prompt, asked.out)


def with_candidates(pmp: Any, encoded: Any, names: list[str]) -> int:
    """Segment, and make all candidates; return their number."""
    return sum(len(found.candidates) for found in pmp.segment(encoded, names, presence_threshold=0))


def spent(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Return milliseconds of processor time: the median of the first call, and of what each one takes beyond the last.

    The calls take turns, so that what else the machine does meets all of them; a first round does not count.
    """
    times = np.zeros((rounds + 1, len(calls)))
    for row in times:
        for index, call in enumerate(calls):
            began = time.process_time()
            call()
            row[index] = 1000 * (time.process_time() - began)
    values: list[float] = np.median(np.diff(times[1:], axis=1, prepend=0), axis=0).tolist()
    return values


def draw(pmp: Any, encoded: Any, prompt: str, path: Path) -> None:
    """Draw the image with the six best proposals for a prompt, and without one."""
    from matplotlib import pyplot

    found = pmp.segment(encoded, [prompt], presence_threshold=0)[0]
    guided = sorted((c for c in found.candidates if "instance" in c.scores), key=lambda c: -c.region.score)[:5]
    rows = [
        [
            (f"{prompt!r}: mask", found.mask),
            *((f"{c.region.mask_score:.2f}", _bits(c.region, found.threshold)) for c in guided),
        ],
        [
            ("no prompt", np.zeros(found.size, bool)),
            *((f"{r.score:.2f}", _bits(r, 0.5)) for r in pmp.propose(encoded)[:5]),
        ],
    ]
    figure, axes = pyplot.subplots(2, 6, figsize=(13, 4.6))
    for axis in axes.flat:
        axis.axis("off")
    for axes_row, row in zip(axes, rows, strict=True):
        for axis, (title, mask) in zip(axes_row, row, strict=False):
            shown = encoded.image.pixels.astype(np.float32) / 255
            shown[mask] = 0.4 * shown[mask] + 0.6 * np.array([0.1, 0.8, 0.3], np.float32)
            axis.imshow(shown)
            axis.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=70)


def _bits(region: Any, threshold: float) -> np.ndarray:
    mask: np.ndarray = region.packed(threshold).full()
    return mask


if __name__ == "__main__":
    main()
