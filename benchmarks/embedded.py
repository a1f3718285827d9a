"""Measure the embedded weights on this machine: loading, one phrase, a further phrase, many phrases.

    python benchmarks/embedded.py --long-side 352

Each figure is the median of many calls after a warm-up, from decoded pixels to the mask at input size.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import dataclasses
import json
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import wordmask
from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

PHRASES = [
    f"{side} {part}" for side in ("left", "right", "upper", "lower", "big") for part in ("eye", "door", "ear", "lip")
]


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of a call in milliseconds, after two warm-up calls."""
    call(), call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--long-side", type=int, help="longer side of the network's canvas; the weights' own by default"
    )
    parser.add_argument("--image", default="sample:astronaut")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "embedded.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    segmenter = wordmask.load()
    loading = 1000 * (time.perf_counter() - start)
    model = segmenter.model  # type: ignore[attr-defined]
    if args.long_side:
        model.settings = dataclasses.replace(model.settings, long_side=args.long_side)
    image = load_image(args.image).pixels
    encoded = segmenter.encode(image)

    def masks(prompts: str | list[str]) -> list[NDArray[np.bool_]]:
        return [found.mask for found in segmenter.segment(encoded, prompts)]

    report = {
        "canvas": list(encoded.placement.canvas),
        "load_ms": round(loading, 1),
        "one_phrase_ms": median_ms(lambda: segmenter.segment(image, "face")[0].mask, args.repeats),
        "encode_ms": median_ms(lambda: segmenter.encode(image), args.repeats),
        "further_phrase_ms": median_ms(lambda: masks("hair"), args.repeats),
        "20_further_phrases_ms": median_ms(lambda: masks(PHRASES), args.repeats),
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "threads": args.threads,
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
        },
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
