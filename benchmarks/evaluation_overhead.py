"""Cost of an evaluation beside the bare model: the same images, the same prompts, interleaved.

    python benchmarks/evaluation_overhead.py --data sets/celebamask # 30 images, about a minute
    python benchmarks/evaluation_overhead.py --data sets/celebamask --images 5 # a quick look

Bare goes from an image file to the masks of all prompts at its size: `encode`, `segment` in chunks, `mask`. The
evaluation reads the ground truth, does the same, scores every mask (confusion, two boundary bands) and appends the
record to its file. Sides alternate image by image, A B then B A, after one image of warm-up that does not count; the
ratio is taken within each image and its median reported, and that of the sums beside it. Wall time is what a user
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

from wordmask.evaluation.api import open_evaluation
from wordmask.evaluation.models import EvaluatedModel
from wordmask.evaluation.prompting import CHUNK, queries_of
from wordmask.evaluation.records import Records
from wordmask.evaluation.runner import Evaluation, scores_of
from wordmask.evaluation.score.masks import record_masks

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 1.15
Seconds = tuple[float, float]


def timed(action: Callable[[], Any]) -> Seconds:
    """Return wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(evaluation: Evaluation, model: str | None, number: int) -> dict[str, Any]:
    """Return the times of both sides, image by image, and of computing the result."""
    data, prompted = evaluation.data, evaluation.prompted(EvaluatedModel.load(model))
    segmenter, protocol = prompted.segmenter, evaluation.protocol
    prompts = [[query.prompt for query, _ in queries_of(data[place], protocol)] for place in range(number + 1)]
    images = [data[place].image for place in range(number + 1)]

    def bare(place: int) -> None:
        encoded = segmenter.encode(images[place])
        for start in range(0, len(prompts[place]), CHUNK):
            for found in segmenter.segment(encoded, prompts[place][start : start + CHUNK]):
                _ = found.mask

    seconds: dict[str, list[Seconds]] = {"bare": [], "evaluated": []}
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder), {"benchmark": "overhead"})
        with records.appending() as append:
            for place in range(number + 1):
                sides = [
                    ("bare", lambda place=place: bare(place)),
                    ("evaluated", lambda place=place: append(record_masks(prompted, data[place]))),
                ]
                for name, action in sides if place % 2 else sides[::-1]:
                    seconds[name].append(timed(action))
        result = timed(lambda: scores_of(evaluation, records.read(number + 1)))
    return {name: values[1:] for name, values in seconds.items()} | {
        "result": result,
        "prompts": sum(map(len, prompts[1:])),
    }


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    """Return ratios of wall and CPU time: the median over images, and that of the sums."""
    ratios: dict[str, Any] = {}
    for column, name in enumerate(("wall", "cpu")):
        bare, evaluated = ([times[column] for times in measured[side]] for side in ("bare", "evaluated"))
        each = [second / first for first, second in zip(bare, evaluated, strict=True)]
        ratios[name] = {
            "median_ratio": round(statistics.median(each), 3),
            "ratio_of_sums": round(sum(evaluated) / sum(bare), 3),
            "bare_s_per_image": round(sum(bare) / len(bare), 4),
            "evaluated_s_per_image": round(sum(evaluated) / len(evaluated), 4),
        }
    return ratios | {"result_s": round(measured["result"][0], 3), "target": TARGET}


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "evaluation_overhead.json")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    evaluation = open_evaluation(asked.data, exhaustive=True)  # absent names are prompts, too
    images = min(asked.images, len(evaluation.data) - 1)
    measured = measure(evaluation, asked.model, images)
    content = {
        "data": evaluation.data.name,
        "images": images,
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
