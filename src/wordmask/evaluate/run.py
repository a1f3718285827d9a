"""A segmenter over a data set under a protocol: resumable, in flat memory, the same bytes every time.

A run folder holds `run.json` (whose run it is), `samples.jsonl` (one line a sample), `result.json` and `result.md`.
Neither times nor durations are in them; those go to `timing.jsonl`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordmask.errors import DataError, sentence
from wordmask.evaluate.judging import Judge
from wordmask.evaluate.labelling import label_scores
from wordmask.evaluate.provenance import checksum, revision_of
from wordmask.evaluate.records import Records, encoded_json, require_limit
from wordmask.evaluate.report import result_markdown
from wordmask.evaluate.scores import Scored, mask_scores
from wordmask.formats.files import write
from wordmask.metrics.thresholds import position
from wordmask.versions import versions

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Dataset, Segmenter
    from wordmask.evaluate.protocol import Benchmark, Rules

__all__ = ["Candidate", "Evaluation", "Watch", "run"]

_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "torch", "transformers")

Watch = Callable[[Iterable[int], int, int], Iterable[int]]
"""`(positions to come, how many are done, how many there are) -> the same positions`: a place for a progress bar."""


@dataclass(frozen=True)
class Candidate:
    """A model to judge.

    Attributes:
        asked: What the user called it.
        load: Loads it; called when the first picture is due.
        name: What results call it.
        revision: Commit on a hub, if it came from one.
        checksum: Of its files; None where it has none.
        device, dtype: What it was asked to run on.
    """

    asked: str
    load: Callable[[], Segmenter]
    name: str
    revision: str | None = None
    checksum: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    @classmethod
    def find(cls, model: str | None, *, revision: str | None, device: str, dtype: str) -> Candidate:
        """Find a model by what a user calls it; see `wordmask.load`.

        Raises:
            ModelNotFoundError: If nothing has that name.
        """
        from wordmask.api import DEFAULT_METHOD, find_model, load

        path = find_model(model, revision=revision)

        def loaded() -> Segmenter:
            return load(model, device=device, dtype=dtype, revision=revision)

        waiting = [loaded()]  # loaded already, to know its name; handed out once, so that nobody else keeps it
        place, kind = getattr(waiting[0], "device", device), getattr(waiting[0], "dtype", dtype)
        return cls(
            model or DEFAULT_METHOD,
            lambda: waiting.pop() if waiting else loaded(),
            waiting[0].name,
            revision_of(path) or revision,
            checksum(path),
            str(place),
            str(kind).removeprefix("torch."),
        )

    def facts(self) -> dict[str, Any]:
        """Return what a result says about the model."""
        return {
            "asked": self.asked,
            "name": self.name,
            "revision": self.revision,
            "checksum": self.checksum,
            "device": self.device,
            "dtype": self.dtype,
        }


@dataclass(frozen=True)
class Evaluation:
    """What to run.

    Attributes:
        benchmark: The table.
        data: Its folder; None where none is needed.
        split: None for the benchmark's first.
        preset: None for the benchmark's first.
        limit: At most so many samples, from the start; None for all.
        seed: Of data that are drawn, and of the intervals.
        threshold: Replaces the preset's.
        mirror: Whether mirrored pictures are asked, too.
    """

    benchmark: Benchmark
    data: Path | None = None
    split: str | None = None
    preset: str | None = None
    limit: int | None = None
    seed: int = 0
    threshold: float | None = None
    mirror: bool = False
    _opened: list[Dataset] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def rules(self) -> Rules:
        """The preset's rules."""
        return self.benchmark.rules(self.preset)[1]

    def dataset(self) -> Dataset:
        """Open the data, once.

        Raises:
            DataError: If they are not there or hold nothing.
        """
        if not self._opened:
            self._check()
            data = self.benchmark.dataset(self.data, self.split, self.seed)
            if not len(data):
                raise DataError(sentence(f"no samples in {data.name} {data.split}", "at least one", "choose another"))
            self._opened.append(data)
        return self._opened[0]

    def _check(self) -> None:
        require_limit(self.limit)
        if self.rules.sweep and self.threshold is not None:
            position(self.threshold)  # before the slow part
        if self.mirror and self.rules.task == "labels":
            got = f"--mirror with the preset {self.benchmark.rules(self.preset)[0]!r}, which names pixels"
            raise DataError(sentence(got, "one that judges masks", "leave --mirror away"))

    def count(self) -> int:
        """Return the number of samples that are asked for."""
        return min(len(self.dataset()), self.limit or len(self.dataset()))

    def identity(self, candidate: Candidate) -> dict[str, Any]:
        """Return what two runs must share for their samples to be of one kind; the limit does not matter."""
        data, (preset, rules) = self.dataset(), self.benchmark.rules(self.preset)
        return {
            "benchmark": self.benchmark.name,
            "preset": preset,
            "split": self.split or self.benchmark.splits[0],
            "rules": rules.facts(),
            "threshold": self.threshold,
            "mirror": self.mirror,
            "data": {"name": data.name, "split": data.split, "fingerprint": data.fingerprint, "pictures": len(data)},
            "model": candidate.facts(),
            "seed": self.seed,
            "versions": versions(*_PACKAGES),
        }


def run(
    evaluation: Evaluation, candidate: Candidate, folder: Path, *, command: str, watch: Watch | None = None
) -> dict[str, Any]:
    """Judge a model, or go on where a run in the same folder was interrupted, and write the result.

    Args:
        evaluation: On what, and how.
        candidate: Whom.
        folder: Where to; made if it is not there.
        command: The command line that does this again, for the result.
        watch: Shows progress.

    Returns:
        What `result.json` holds.

    Raises:
        WordmaskError: If data, model or folder are not as they should be, or the folder holds another run.
    """
    identity = evaluation.identity(candidate)
    records = Records(folder, identity)
    _judge_missing(evaluation, candidate, records, watch)
    content = _result(evaluation, identity, records, command)
    write(folder / "result.json", encoded_json(content))
    write(folder / "result.md", result_markdown(content).encode())
    return content


def _judge_missing(evaluation: Evaluation, candidate: Candidate, records: Records, watch: Watch | None) -> None:
    data, count = evaluation.dataset(), evaluation.count()
    if records.done >= count:
        return
    judge = Judge(candidate.load(), evaluation.rules, data.names, evaluation.threshold, evaluation.mirror)
    positions: Iterable[int] = range(records.done, count)
    if watch is not None:
        positions = watch(positions, records.done, count)
    with records.appending() as append, _timed(records):
        for place in positions:
            append(judge.record(data[place]))


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


def _result(evaluation: Evaluation, identity: dict[str, Any], records: Records, command: str) -> dict[str, Any]:
    count, rules = evaluation.count(), evaluation.rules
    scored = scores_of(evaluation, records.read(count))
    level = rules.threshold if evaluation.threshold is None else evaluation.threshold
    headline = [name.replace("@t", "" if level is None else f"@{level:g}") for name in rules.headline]
    return {
        "title": evaluation.benchmark.title,
        "source": evaluation.benchmark.source,
        **identity,
        "threshold": level,
        "samples": count,
        "headline": [name for name in headline if name in scored.scores],
        "scores": scored.scores,
        "presence": scored.presence,
        "by_size": scored.by_size,
        "by_name": scored.by_name,
        "command": command,
    }


def scores_of(evaluation: Evaluation, records: Iterable[dict[str, Any]]) -> Scored:
    """Return the scores of records under an evaluation's rules."""
    data, rules = evaluation.dataset(), evaluation.rules
    if rules.task == "labels":
        unseen = evaluation.benchmark.unseen.get(evaluation.split or evaluation.benchmark.splits[0], frozenset())
        return label_scores(records, data.names, unseen=unseen, seed=evaluation.seed)
    return mask_scores(
        records,
        rules,
        names=data.names,
        parts=getattr(data, "parts", None),
        threshold=evaluation.threshold,
        seed=evaluation.seed,
    )
