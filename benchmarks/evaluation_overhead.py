"""What an evaluation costs beside the bare model: the same pictures, the same prompts, interleaved.

    python benchmarks/evaluation_overhead.py --data sets/celebamask # 30 pictures, about a minute
    python benchmarks/evaluation_overhead.py --data sets/celebamask --pictures 5 # a quick look

Bare goes from a picture's file to the masks of all prompts at its size: `encode`, `segment` in chunks, `mask`. The
evaluation reads the truth, does the same, judges every mask (confusion, two outline bands) and appends the record
to its file. Sides alternate picture by picture, A B then B A, after one picture of warm-up that does not count;
the ratio is taken within each picture and its median reported, and that of the sums beside it. Wall time is what a user
waits for, CPU time is steadier on a shared machine. Reading the records back at the end is timed apart.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.api import load
from wordmask.evaluate.benchmarks import find_benchmark
from wordmask.evaluate.judging import CHUNK, Judge
from wordmask.evaluate.records import Records
from wordmask.evaluate.run import Evaluation, scores_of

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 1.15
Seconds = tuple[float, float]


def timed(action: Callable[[], Any]) -> Seconds:
    """Return wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(evaluation: Evaluation, model: str | None, pictures: int) -> dict[str, Any]:
    """Return the times of both sides, picture by picture, and of computing the result."""
    data, segmenter = evaluation.dataset(), load(model)
    judge = Judge(segmenter, evaluation.rules, data.names)
    prompts = [[query.prompt for query, _ in judge.asked(data[place])] for place in range(pictures + 1)]
    images = [data[place].image for place in range(pictures + 1)]

    def bare(place: int) -> None:
        encoded = segmenter.encode(images[place])
        for start in range(0, len(prompts[place]), CHUNK):
            for found in segmenter.segment(encoded, prompts[place][start : start + CHUNK]):
                _ = found.mask

    seconds: dict[str, list[Seconds]] = {"bare": [], "evaluated": []}
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder), {"benchmark": "overhead"})
        with records.appending() as append:
            for place in range(pictures + 1):
                sides = [
                    ("bare", lambda place=place: bare(place)),
                    ("evaluated", lambda place=place: append(judge.record(data[place]))),
                ]
                for name, action in sides if place % 2 else sides[::-1]:
                    seconds[name].append(timed(action))
        result = timed(lambda: scores_of(evaluation, records.read(pictures + 1)))
    return {name: values[1:] for name, values in seconds.items()} | {
        "result": result,
        "prompts": sum(map(len, prompts[1:])),
    }


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    """Return ratios of wall and CPU time: the median over pictures, and that of the sums."""
    ratios: dict[str, Any] = {}
    for column, name in enumerate(("wall", "cpu")):
        bare, evaluated = ([times[column] for times in measured[side]] for side in ("bare", "evaluated"))
        each = [second / first for first, second in zip(bare, evaluated, strict=True)]
        ratios[name] = {
            "median_ratio": round(statistics.median(each), 3),
            "ratio_of_sums": round(sum(evaluated) / sum(bare), 3),
            "bare_s_per_picture": round(sum(bare) / len(bare), 4),
            "evaluated_s_per_picture": round(sum(evaluated) / len(evaluated), 4),
        }
    return ratios | {"result_s": round(measured["result"][0], 3), "target": TARGET}


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="plain")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--model", default=None)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "evaluation_overhead.json")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    evaluation = Evaluation(find_benchmark(asked.benchmark), asked.data)
    pictures = min(asked.pictures, len(evaluation.dataset()) - 1)
    measured = measure(evaluation, asked.model, pictures)
    content = {
        "benchmark": asked.benchmark,
        "data": evaluation.dataset().name,
        "pictures": pictures,
        "prompts": measured["prompts"],
        **summary(measured),
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "threads": asked.threads,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    }
    print(json.dumps(content, indent=1))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
