"""Time of one phrase about one image: exported folders against the eager model, in turns, on one thread.

    wordmask export-model compact --to onnx --out compact-onnx
    OMP_NUM_THREADS=1 python benchmarks/exported_speed.py compact compact-onnx

Prints the CPU and its instructions, then for each model the median milliseconds of CPU time (other programs on the
machine disturb it less than the clock), and how many times as fast it is as the eager model of the same precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import wordmask
from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Callable

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


def cpu() -> str:
    """Return the name of the CPU, and the instructions for low precision that it has."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{[*names, 'unknown'][0]}: {', '.join(word for word in INSTRUCTIONS if word in text)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="compact")
    parser.add_argument("exported", nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(cpu())
    image = load_image("sample:astronaut")
    calls: dict[str, Callable[[], object]] = {}
    options: dict[str, Any] = {"refine": False}
    for dtype in ("float32", "auto"):
        for model in (arguments.model, *arguments.exported):
            segmenter = wordmask.load(model, dtype=dtype)
            calls[f"{model} {dtype}"] = partial(segmenter.segment, image, "face", **options)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(arguments.rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name] += [1000 * (time.process_time() - start)] if number else []
    for name, taken in times.items():
        own = statistics.median(taken)
        eager = statistics.median(times[f"{arguments.model} {name.rpartition(' ')[2]}"])
        print(f"{name:<28}{own:8.1f} ms  {eager / own:5.2f}")


if __name__ == "__main__":
    main()
