"""Ask every finished run the same questions, in words and by examples, and write down what it takes to compare them.

    python -m scripts.experiments.clipseg.score --pooled runs/clipseg/pooled --runs runs/clipseg/grid \
        --out runs/clipseg/scores

One JSON for each run: the histograms of all answers, from which every score and every interval can be computed
without the model (`wordmask.metrics.thresholds`), and the usual scores. Phrases are asked bare, as CLIPSeg is tested on
PhraseCut. Runs that are scored already are left as they are.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from scripts.experiments.clipseg.questions import Question, choose, keep
from scripts.experiments.clipseg.run import is_finished
from scripts.experiments.clipseg.variants import VARIANTS
from wordmask.data.plain import plain
from wordmask.formats.files import write
from wordmask.metrics.sizes import size_of
from wordmask.metrics.thresholds import THRESHOLDS, ap, counts, histogram, iou_fg, miou, position, step_ap
from wordmask.prompts import TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.data.sample import Sample
    from wordmask.prompts import Prompt

KINDS = ("text", "visual")
AT = 0.3
"""The threshold of table 3."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What one run answered to all questions, in one way of asking.

    Attributes:
        histograms: int64 `(N, 2, 50)`, see `wordmask.metrics.thresholds.histogram`.
    """

    histograms: NDArray[np.int64]

    def scores(self, chosen: Sequence[int] | None = None) -> dict[str, float]:
        """Return the sweep's scores over some of the questions, or all; each question is a class of its own."""
        rows = self.histograms if chosen is None else self.histograms[list(chosen)]
        counted, at = counts(rows), position(AT)
        each, whole, summed = miou(counted), iou_fg(counted.sum(axis=0)), counted.sum(axis=0)
        scores = {"miou_best": float(each.max()), "miou_best_t": float(THRESHOLDS[each.argmax()])}
        scores |= {f"miou@{AT:g}": float(each[at]), f"iou_fg@{AT:g}": float(whole[at])}
        return scores | {"iou_fg_best": float(whole.max()), "ap": ap(summed), "step_ap": step_ap(rows.sum(axis=0))}


def ask(
    segmenter: Segmenter, valid: Dataset, train: Dataset, questions: Sequence[Question], mode: str
) -> dict[str, Answers]:
    """Ask everything; each picture is encoded once."""
    found: dict[str, list[NDArray[np.int64]]] = {kind: [] for kind in KINDS}
    for index in dict.fromkeys(question.index for question in questions):
        sample = valid[index]
        about = [question for question in questions if question.index == index]
        words: list[Prompt] = [TextPrompt(question.name) for question in about]
        examples: list[Prompt] = [_example(train[question.example], question.name, mode) for question in about]
        encoded = segmenter.encode(sample.image)
        for kind, prompts in zip(KINDS, (words, examples), strict=True):
            answer = segmenter.segment(encoded, prompts)
            for question, heatmap in zip(about, (given.heatmap for given in answer), strict=True):
                found[kind].append(histogram(heatmap, _truth(sample, question.name)))
    return {kind: Answers(np.stack(rows)) for kind, rows in found.items()}


def in_order(questions: Sequence[Question]) -> list[Question]:
    """Return the questions as `ask` answers them: picture by picture."""
    places = list(dict.fromkeys(question.index for question in questions))
    return sorted(questions, key=lambda question: places.index(question.index))


def _truth(sample: Sample, name: str) -> NDArray[np.bool_]:
    return next(query.mask for query in sample.queries if query.label == name)


def _example(sample: Sample, name: str, mode: str) -> VisualPrompt:
    return VisualPrompt(sample.image, _truth(sample, name), name=name, mode=mode)


def scored(answers: dict[str, Answers], questions: Sequence[Question], sizes: Sequence[str]) -> dict[str, Any]:
    """Return scores of all questions, by set and by size of the thing, for each way of asking."""
    groups = {"set": [question.source for question in questions], "size": list(sizes)}
    result: dict[str, Any] = {}
    for kind, given in answers.items():
        result[kind] = {"all": given.scores()}
        for title, labels in groups.items():
            parts = {label: [n for n, other in enumerate(labels) if other == label] for label in sorted(set(labels))}
            result[kind][title] = {
                label: {"questions": len(part), **given.scores(part)} for label, part in parts.items()
            }
    return result


def score_run(
    folder: Path, valid: Dataset, train: Dataset, questions: Sequence[Question], *, dtype: str | None = None
) -> dict[str, Any]:
    """Score one finished run and return what is written down of it."""
    name, _, seed = folder.name.rpartition("-")
    segmenter = wordmask.load(folder / "last", device="cpu", dtype=dtype)
    ordered = in_order(questions)
    answers = ask(segmenter, valid, train, ordered, VARIANTS[name].mode)
    totals = answers["text"].histograms
    sizes = [size_of(int(total[1].sum()), int(total.sum())) for total in totals]
    run = json.loads((folder / "run.json").read_bytes())
    return {
        "variant": name, "seed": int(seed), "mode": VARIANTS[name].mode, "recipe": run["recipe"], "model": run["model"],
        "pictures_seen": run.get("pictures_seen"), "scores": scored(answers, ordered, sizes),
        "questions": [_described(question, size) for question, size in zip(ordered, sizes, strict=True)],
        "histograms": {kind: given.histograms.tolist() for kind, given in answers.items()},
    }  # fmt: skip


def _described(question: Question, size: str) -> dict[str, str]:
    return {"key": question.key, "set": question.source, "name": question.name, "size": size}


def score_all(
    pooled: Path,
    runs: Path,
    out: Path,
    *,
    each: int,
    most: int,
    dtype: str | None = None,
    part: tuple[int, int] = (1, 1),
) -> list[Path]:
    """Score every finished run that is not scored yet, and return the files written."""
    valid, train = plain(pooled, "val"), plain(pooled, "train")
    questions = keep(out / "questions.json", choose(valid, train, each=each, most=most))
    written = []
    folders = [folder for folder in sorted(runs.iterdir()) if folder.name.rpartition("-")[0] in VARIANTS]
    for folder in folders[part[0] - 1 :: part[1]]:
        path = out / f"{folder.name}.json"
        if is_finished(folder) and not path.is_file():
            started = time.monotonic()
            record = score_run(folder, valid, train, questions, dtype=dtype)
            written.append(write(path, json.dumps(record).encode()))
            text, visual = (record["scores"][kind]["all"]["miou_best"] for kind in KINDS)
            print(
                f"{folder.name}: text {text:.3f}, visual {visual:.3f} ({time.monotonic() - started:.0f} s)", flush=True
            )
    return written


def main() -> None:
    """Read the command line and score."""
    from scripts.experiments.clipseg.run import read_part

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pooled", "runs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--each", type=int, default=2, help="questions about one picture")
    parser.add_argument("--most", type=int, default=400, help="questions in all")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--part", type=read_part, default=(1, 1), help="1/2: every second run")
    arguments = parser.parse_args()
    score_all(
        arguments.pooled, arguments.runs, arguments.out, each=arguments.each, most=arguments.most,
        dtype=arguments.dtype, part=arguments.part,
    )  # fmt: skip


if __name__ == "__main__":
    main()
