"""Time of one phrase about one image: exported folders against the eager model, in turns.

    wordmask export-model compact --to onnx --size 352 --out compact-onnx
    OMP_NUM_THREADS=1 python benchmarks/exported_speed.py compact compact-onnx --size 352

Prints the CPU and its instructions, then for each model, in float32 and as loaded by default, milliseconds and how
many times as fast it is as the eager model of the same precision and as the eager model as loaded by default: the
median, and the lowest and the highest of the repeats. One repeat calls each model `--calls` times in turns and takes
the medians; the order is reversed in every other turn. Time is CPU time for one thread (other programs disturb it less
than the clock), and by the clock for several. Give the size that the folders were exported with.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import wordmask
from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def cpu() -> str:
    """Return the name of the CPU, and the instructions for many numbers at once that it has."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{[*names, 'unknown'][0]}: {', '.join(word for word in INSTRUCTIONS if word in text)}"


def loaded(model: str, dtype: str, size: int | None) -> Any:
    """Return a segmenter; an eager one gets the canvas of `size` px."""
    segmenter: Any = wordmask.load(model, device="cpu", dtype=dtype)
    if size and not (Path(model) / "image.onnx").exists() and not (Path(model) / "image.xml").exists():
        segmenter.model.settings = replace(segmenter.model.settings, long_side=size)
    if size and segmenter.model.settings.long_side != size:
        raise SystemExit(f"{model} was exported for {segmenter.model.settings.long_side} px, not {size}")
    return segmenter


def repeat(calls: dict[str, Callable[[], object]], turns: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return the median milliseconds of each call over several turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(turns):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            start = clock()
            calls[name]()
            times[name].append(1000 * (clock() - start))
    return {name: statistics.median(taken) for name, taken in times.items()}


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median, and lowest and highest in brackets."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="compact")
    parser.add_argument("exported", nargs="*")
    parser.add_argument("--size", type=int, help="longer side of the canvas; default: the model's own")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--calls", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    image = load_image("sample:astronaut")
    calls: dict[str, Callable[[], object]] = {}
    for dtype in ("float32", "auto"):
        for model in (arguments.model, *arguments.exported):
            segmenter = loaded(model, dtype, arguments.size)
            calls[f"{model} {dtype}"] = partial(segmenter.segment, image, "face", refine=False)
    size = segmenter.model.settings.long_side
    print(f"{cpu()}; {arguments.threads} threads, {size} px, {arguments.repeats} repeats of {arguments.calls}")
    repeat(calls, 2, clock)
    rows = [repeat(calls, arguments.calls, clock) for _ in range(arguments.repeats)]
    for name in calls:
        same = f"{arguments.model} {name.rpartition(' ')[2]}"
        ratios = [[row[eager] / row[name] for row in rows] for eager in (same, f"{arguments.model} auto")]
        times = spread([row[name] for row in rows], 1)
        print(f"{name:<28} {times} ms  same precision {spread(ratios[0], 2)}  default {spread(ratios[1], 2)}")


if __name__ == "__main__":
    main()
