"""Running an evaluation: resumable, in flat memory, the same bytes every time.

A run folder holds `run.json` (identity of the run), `samples.jsonl` (one line a sample), `result.json` and `result.md`.
Neither times nor durations are in them; those go to `timing.jsonl`. A sample whose files cannot be read is recorded as
failed, tried again by the next run in the folder, and left out of the scores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.errors import DataError, ImageError, sentence
from wordmask.evaluation.prompting import PromptedModel
from wordmask.evaluation.records import Records, encoded_json, require_limit
from wordmask.evaluation.report.markdown import result_markdown
from wordmask.evaluation.score.boxes import box_scores, record_boxes
from wordmask.evaluation.score.instances import instance_scores, record_instances
from wordmask.evaluation.score.labels import label_scores, record_labels
from wordmask.evaluation.score.masks import mask_scores, record_masks
from wordmask.evaluation.score.proposals import proposal_scores, record_proposals
from wordmask.evaluation.score.scores import ScoreOptions, Scores
from wordmask.formats.files import write
from wordmask.metrics.thresholds import position
from wordmask.versions import versions

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample
    from wordmask.evaluation.models import EvaluatedModel
    from wordmask.evaluation.protocols import Benchmark, EvaluationProtocol

__all__ = ["TASKS", "Evaluation", "Watch", "run"]

_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "torch", "transformers")

Watch = Callable[[Iterable[int], int, int], Iterable[int]]
"""`(indices to come, number done, number of all) -> the same indices`: a place for a progress bar."""

RecordSample = Callable[["PromptedModel", "Sample"], dict[str, Any]]
ComputeScores = Callable[[Iterable[dict[str, Any]], ScoreOptions], Scores]

TASKS: dict[str, tuple[RecordSample, ComputeScores]] = {
    "masks": (record_masks, mask_scores),
    "labels": (record_labels, label_scores),
    "instances": (record_instances, instance_scores),
    "proposals": (record_proposals, proposal_scores),
    "boxes": (record_boxes, box_scores),
}
"""Task -> how a sample is recorded, and how scores are computed from all records."""


@dataclass(frozen=True)
class Evaluation:
    """Data and protocol of a run.

    Attributes:
        benchmark: The benchmark or task.
        data: The data set.
        split: Part of the data as the benchmark names it; None for its first.
        preset: None for the benchmark's first.
        limit: Number of samples, from the start; None for all.
        seed: Of the intervals.
        threshold: Replaces the protocol's threshold.
        mirror: Whether mirrored images are segmented, too.

    Raises:
        WordmaskError: If there is no sample, or the options do not fit together.
    """

    benchmark: Benchmark
    data: Dataset
    split: str | None = None
    preset: str | None = None
    limit: int | None = None
    seed: int = 0
    threshold: float | None = None
    mirror: bool = False

    def __post_init__(self) -> None:
        require_limit(self.limit)
        protocol = self.protocol
        if protocol.sweep and self.threshold is not None:
            position(self.threshold)  # before the slow part
        if self.mirror and protocol.task != "masks":
            got = f"mirrored images with the task {protocol.task}"
            raise DataError(sentence(got, "the task masks", "leave --mirror out"))
        if not len(self.data):
            got = f"no samples in {self.data.name} {self.data.split}"
            raise DataError(sentence(got, "at least one", "choose another split"))

    @property
    def protocol(self) -> EvaluationProtocol:
        """The preset's protocol."""
        return self.benchmark.protocol(self.preset)[1]

    @property
    def count(self) -> int:
        """Number of samples to run on."""
        return min(len(self.data), self.limit or len(self.data))

    def prompted(self, model: EvaluatedModel) -> PromptedModel:
        """Return the model under this protocol."""
        return PromptedModel(model.segmenter, self.protocol, self.data.names, self.threshold, self.mirror)

    def options(self) -> ScoreOptions:
        """Return the options of the scores."""
        unseen = self.benchmark.unseen.get(self._split, frozenset())
        folds = getattr(self.data, "folds", None)
        return ScoreOptions(self.protocol, self.data.names, folds, unseen, self.threshold, self.seed)

    @property
    def _split(self) -> str:
        return self.split or self.benchmark.default_split or self.data.split

    def identity(self, model: EvaluatedModel) -> dict[str, Any]:
        """Return what two runs must share for their samples to be of one kind; the limit does not matter."""
        data, (preset, protocol) = self.data, self.benchmark.protocol(self.preset)
        return {
            "benchmark": self.benchmark.name,
            "preset": preset,
            "split": self._split,
            "protocol": protocol.facts(),
            "threshold": self.threshold,
            "mirror": self.mirror,
            "data": {
                "name": data.name,
                "split": data.split,
                "fingerprint": data.fingerprint,
                "images": len(data),
                "exhaustive": data.exhaustive,
            },
            "model": model.facts(),
            "seed": self.seed,
            "versions": versions(*_PACKAGES),
        }


def run(
    evaluation: Evaluation,
    model: EvaluatedModel,
    folder: Path,
    *,
    command: str | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Evaluate a model, or go on where a run in the same folder was interrupted, and write the result.

    Args:
        evaluation: Data and protocol.
        model: The model.
        folder: The run folder; made if it is not there.
        command: The command line that repeats the run, for the result; None where there is none.
        watch: Shows progress.

    Returns:
        The content of `result.json`.

    Raises:
        WordmaskError: If data, model or folder are not as they should be, or the folder holds another run.
    """
    identity = evaluation.identity(model)
    records = Records(folder, identity)
    _record_missing(evaluation, model, records, watch)
    content = _result(evaluation, identity, records, command)
    write(folder / "result.json", encoded_json(content))
    write(folder / "result.md", result_markdown(content).encode())
    return content


def _record_missing(evaluation: Evaluation, model: EvaluatedModel, records: Records, watch: Watch | None) -> None:
    count = evaluation.count
    failed = [number for number, one in enumerate(records.read(count)) if "failed" in one]
    if records.done >= count and not failed:
        return
    prompted = evaluation.prompted(model)
    again = {number: _recorded(evaluation, prompted, number) for number in failed}
    records.replace({number: one for number, one in again.items() if "failed" not in one})
    indices: Iterable[int] = range(records.done, count)
    if watch is not None and indices:
        indices = watch(indices, records.done, count)
    with records.appending() as append, _timed(records):
        for index in indices:
            append(_recorded(evaluation, prompted, index))


def _recorded(evaluation: Evaluation, prompted: PromptedModel, index: int) -> dict[str, Any]:
    """Return the record of a sample or, where a file of it is damaged, what is wrong: the other samples count."""
    key = f"sample {index + 1}"
    try:
        sample = evaluation.data[index]
        key = sample.key
        return {"key": key} | TASKS[evaluation.protocol.task][0](prompted, sample)
    except (ImageError, DataError) as error:
        return {"key": key, "failed": str(error)}


@contextmanager
def _timed(records: Records) -> Iterator[None]:
    """Write one line to the log at the end, whatever ended it."""
    begun, started, done = time.strftime("%Y-%m-%dT%H:%M:%S%z"), time.perf_counter(), records.done
    try:
        yield
    finally:
        line = {"started": begun, "seconds": round(time.perf_counter() - started, 3), "samples": records.done - done}
        with suppress(OSError), (records.folder / "timing.jsonl").open("a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


def _result(evaluation: Evaluation, identity: dict[str, Any], records: Records, command: str | None) -> dict[str, Any]:
    protocol = evaluation.protocol
    failed = [{"key": one["key"], "error": one["failed"]} for one in records.read(evaluation.count) if "failed" in one]
    if len(failed) == evaluation.count:
        got = f"no sample that can be read; the first: {failed[0]['error']}"
        raise DataError(sentence(got, "at least one", "check the files; then run the same command again"))
    scored = scores_of(evaluation, (one for one in records.read(evaluation.count) if "failed" not in one))
    threshold = protocol.threshold if evaluation.threshold is None else evaluation.threshold
    headline = [name.replace("@t", "" if threshold is None else f"@{threshold:g}") for name in protocol.headline]
    return {
        "title": evaluation.benchmark.title,
        "source": evaluation.benchmark.source,
        **identity,
        "threshold": threshold,
        "samples": evaluation.count - len(failed),
        **({"failed": failed} if failed else {}),
        "headline": [name for name in headline if name in scored.scores],
        "scores": scored.scores,
        "presence": scored.presence,
        "by_size": scored.by_size,
        "by_name": scored.by_name,
        "command": command,
    }


def scores_of(evaluation: Evaluation, records: Iterable[dict[str, Any]]) -> Scores:
    """Compute the scores of records under an evaluation's protocol."""
    return TASKS[evaluation.protocol.task][1](records, evaluation.options())
