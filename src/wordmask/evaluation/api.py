"""The public function `wordmask.evaluate` and its result."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wordmask.data.problems import SHOWN, problems_of
from wordmask.data.registry import open_data
from wordmask.errors import DataError, WordmaskWarning, quote, sentence
from wordmask.evaluation.benchmarks import find_benchmark, find_task
from wordmask.evaluation.models import EvaluatedModel
from wordmask.evaluation.provenance import command_line
from wordmask.evaluation.report.markdown import interval_text, result_markdown
from wordmask.evaluation.runner import Evaluation, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.evaluation.runner import Watch

__all__ = ["EvaluationResult", "Score", "evaluate", "open_evaluation"]


class Score(NamedTuple):
    """A score as a fraction with its 95 % interval over images; None where undefined or not computed."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        content: What `result.json` holds: scores, protocol, data, model, versions, command.
    """

    content: Mapping[str, Any]

    @property
    def scores(self) -> dict[str, Score]:
        """Scores by name."""
        return _scores(self.content["scores"])

    @property
    def presence(self) -> dict[str, Score]:
        """Scores of presence by name; empty unless absent names were asked for."""
        return _scores(self.content["presence"])

    def __getitem__(self, name: str) -> float:
        """Return the value of a score, such as `result["miou"]`.

        Raises:
            DataError: If there is no such score, or it is undefined.
        """
        scores = self.scores | {name: score for name, score in self.presence.items() if name not in self.scores}
        score = scores.get(name)
        if score is None or score.value is None:
            got = f"the score {quote(name)}"
            raise DataError(sentence(got, f"one of {', '.join(scores)}", "choose one that is defined"))
        return score.value

    def to_markdown(self) -> str:
        """Return the result as Markdown: scores in percent, by size and by name, with the facts of the run."""
        return result_markdown(self.content)

    def __repr__(self) -> str:
        data, scores = self.content["data"], self.content["scores"]
        first = ", ".join(f"{name} {interval_text(scores[name], name=name)}" for name in self.content["headline"])
        return f"EvaluationResult({data['name']} {data['split']}, {self.content['samples']} samples: {first})"


def evaluate(
    model: str | os.PathLike[str] | Segmenter | None = None,
    data: str | os.PathLike[str] | Dataset | None = None,
    *,
    task: str = "masks",
    benchmark: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    exhaustive: bool | None = None,
    preset: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    threshold: float | None = None,
    mirror: bool = False,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    refine: bool | None = None,
    folder: str | os.PathLike[str] | None = None,
    watch: Watch | None = None,
) -> EvaluationResult:
    """Evaluate a model on a data set.

    Args:
        model: A name or path as `wordmask.load` takes, or a segmenter; None: the embedded weights.
        data: A folder or file of any shape that `wordmask.data.registry.open_data` reads, or a data set.
        task: "masks", "labels", "instances", "proposals" or "boxes".
        benchmark: Table of a paper, instead of a task: it brings data set and protocol.
        dataset: Name of a published data set; None: look at the files.
        split: Part of the data; None for the usual one.
        images: Folder that the file names of COCO annotations start from.
        exhaustive: Whether names not marked in an image are known to be absent; None: as the data say.
        preset: Protocol of the task or benchmark; None for its first.
        limit: Number of samples, from the start; None for all.
        seed: Of data that are drawn, and of the intervals.
        threshold: Replaces the protocol's threshold.
        mirror: Whether mirrored images are segmented, too.
        revision: Branch, tag or commit of a model on a hub.
        device: "cpu", "cuda", "mps" or "auto".
        dtype: "float32", "bfloat16", "float16" or "auto".
        refine: Whether masks are redrawn at the image's own resolution; None: the model's default, which is all that a
            segmenter that is given has.
        folder: Where the run is written, to be resumed; None: nothing is kept.
        watch: Shows progress.

    Raises:
        WordmaskError: If model, data or options are not as they should be, or the folder holds another run.
    """
    evaluation = open_evaluation(
        data, task=task, benchmark=benchmark, dataset=dataset, split=split, images=images, exhaustive=exhaustive,
        preset=preset, limit=limit, seed=seed, threshold=threshold, mirror=mirror,
    )  # fmt: skip
    _warn_of(problems_of(evaluation.data))
    named = (model is None or isinstance(model, (str, os.PathLike))) and not _is_dataset(data)
    options = {
        "data": data, "dataset": dataset, "split": split, "images": images, "exhaustive": exhaustive,
        "benchmark": benchmark, "task": None if benchmark else task, "preset": preset, "limit": limit, "seed": seed,
        "threshold": threshold, "mirror": mirror, "model": model, "revision": revision, "out": folder,
        "device": device, "dtype": dtype, "refine": refine, "no-refine": refine is False,
    }  # fmt: skip
    command = command_line("evaluate", options) if named else None
    if model is None or isinstance(model, (str, os.PathLike)):
        evaluated = EvaluatedModel.load(model, revision=revision, device=device, dtype=dtype, refine=refine)
    else:
        evaluated = EvaluatedModel.of(model)
    with tempfile.TemporaryDirectory(prefix="wordmask-") as scratch:
        place = Path(scratch) if folder is None else Path(folder)
        return EvaluationResult(run(evaluation, evaluated, place, command=command, watch=watch))


def open_evaluation(
    data: str | os.PathLike[str] | Dataset | None,
    *,
    task: str = "masks",
    benchmark: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    exhaustive: bool | None = None,
    preset: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    threshold: float | None = None,
    mirror: bool = False,
) -> Evaluation:
    """Open the data of an evaluation and check its options; arguments as for `evaluate`.

    Raises:
        WordmaskError: If the data cannot be opened or the options do not fit together.
    """
    chosen = find_task(task) if benchmark is None else find_benchmark(benchmark)
    chosen.protocol(preset)
    if benchmark is not None and dataset is not None:
        got = f"the data set {quote(dataset)} for the benchmark {benchmark}"
        raise DataError(sentence(got, "one of both", "leave --dataset out, or choose a --task"))
    if _is_dataset(data):
        opened: Dataset = data  # type: ignore[assignment]
    else:
        name = chosen.dataset or dataset
        opened = open_data(data, dataset=name, split=split, images=images, exhaustive=exhaustive, seed=seed)  # type: ignore[arg-type]
    return Evaluation(chosen, opened, split, preset, limit, seed, threshold, mirror)


def _warn_of(problems: Sequence[str]) -> None:
    for problem in problems[:SHOWN]:
        warnings.warn(f"Left out: {problem}", WordmaskWarning, stacklevel=3)
    if len(problems) > SHOWN:
        warnings.warn(f"Left out: {len(problems) - SHOWN} more", WordmaskWarning, stacklevel=3)


def _is_dataset(data: object) -> bool:
    return data is not None and not isinstance(data, (str, os.PathLike))


def _scores(scores: Mapping[str, Any]) -> dict[str, Score]:
    known = {name: score for name, score in scores.items() if isinstance(score, dict)}
    return {name: Score(score["value"], score.get("low"), score.get("high")) for name, score in known.items()}
