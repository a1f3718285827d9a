"""The job on a Ray cluster: the same batches as on one machine, answered by a pool of actors, into the same journal.

A row of the Ray data set is a batch of images; its id is a hash of everything that the answers depend on, since Ray
skips rows by their id alone. Errors of images are part of a row's result, as an exception would end the whole job.
Results are written as Parquet and moved into the journal, also those that an earlier driver left behind when it was
killed. What is missing is then decided by the journal.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.annotate.asking import Asker, Plan
from wordmask.annotate.job import (
    JobSettings,
    Summary,
    begin_job,
    chunks_of,
    journal_path,
    locked_job,
    pending_of,
    write_quarantine,
)
from wordmask.annotate.journal import Journal
from wordmask.annotate.opening import open_source
from wordmask.annotate.reading import read_image
from wordmask.annotate.records import ImageRecord
from wordmask.errors import DeviceError, MissingExtraError, installing, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wordmask.annotate.models import JobModel
    from wordmask.annotate.ontology import Ontology
    from wordmask.annotate.sources import ImageSource, Inputs

__all__ = ["run_on_ray"]

_LEAST_CPUS = 6
"""Logical processors of a local Ray: its checkpoint filter takes one, and with two in all the job waits for ever."""

_STARTS = 3
"""Times that a local Ray is started before it is given up."""


@dataclass
class BatchAnswerer:
    """What an actor does: it loads the model once, and answers batches of images.

    Args:
        plan: The questions.
        model: Loaded in the actor.
    """

    plan: Plan
    model: JobModel

    def __post_init__(self) -> None:
        self._asker = Asker(self.plan, self.model)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Return `id` and `records`, one JSON list a row."""
        records = [json.dumps([r.to_json() for r in self._answered(json.loads(text))]) for text in rows["images"]]
        floor = "" if self._asker.presence is None else str(self._asker.presence)
        return {"id": rows["id"], "records": records, "presence": [floor] * len(records)}

    def _answered(self, wanted: Sequence[tuple[str, list[str]]]) -> list[ImageRecord]:
        loaded = [read_image(open_source(uri)) for uri, _ in wanted]
        keys = {one.content: own for one, (_, own) in zip(loaded, wanted, strict=True) if one.image is not None}
        first = {one.content: one for one in reversed(loaded) if one.image is not None}
        order = list(dict.fromkeys(one.content for one in loaded if one.image is not None))
        answers = self._asker.answer([(first[content], keys[content]) for content in order])
        records = []
        for one in loaded:
            size = one.image.size if one.image is not None else (0, 0)
            found = answers.pop(one.content, ())
            records.append(ImageRecord(one.source.uri, one.signature, one.content, size, one.error, found))
        return records


def run_on_ray(
    inputs: Inputs,
    ontology: Ontology,
    out: Path,
    model: JobModel,
    settings: JobSettings | None = None,
    *,
    gpus: int = 0,
) -> Summary:
    """Run a job as `annotate.job.run_job` does, on a Ray cluster or, where none is running, on a local Ray.

    Args:
        inputs: Images; every actor must be able to read them under the same uri.
        ontology: Phrases and classes.
        out: Folder of the job, which every node can write to.
        model: What is asked; loaded once an actor.
        settings: `workers` is the number of actors.
        gpus: GPUs of an actor.

    Raises:
        MissingExtraError: If Ray is not installed.
        OutputError: As `run_job`.
    """
    settings = settings or JobSettings()
    with locked_job(out, settings.shard), Journal(journal_path(out, settings.shard)) as journal:
        plan = Plan.of(ontology, model, journal)
        begin_job(journal, plan, inputs, settings)
        place = out / ".ray"
        _absorb(journal, place, model)
        before = journal.counts()
        rows = list(_rows(inputs.images, plan, journal, settings))
        if rows:
            _answer(rows, place, plan, model, settings, gpus)
            _absorb(journal, place, model)
        write_quarantine(journal, out)
        done, bad = journal.counts()
        total = sum(map(len, chunks_of(inputs.images, settings)))
        return Summary(total=total, known=before[0], done=done - before[0], bad=bad)


def _rows(
    images: Sequence[ImageSource], plan: Plan, journal: Journal, settings: JobSettings
) -> Iterator[dict[str, str]]:
    """Yield the batches that lack answers."""
    for chunk in chunks_of(images, settings):
        wanted = []
        for source in pending_of(chunk, plan, journal, settings):
            row = journal.image(source.uri)
            known = row is not None and row.signature == source.signature()
            keys = plan.missing(journal, row.content) if known and row is not None else list(plan.questions)
            wanted.append((source.uri, keys or list(plan.questions)))
        if wanted:
            text = json.dumps(wanted)
            marks = [source.signature() for source in chunk]
            yield {"id": hashlib.sha256(f"{text} {marks}".encode()).hexdigest(), "images": text}


def _answer(
    rows: list[dict[str, str]], place: Path, plan: Plan, model: JobModel, settings: JobSettings, gpus: int
) -> None:
    """Answer the rows and write them as Parquet, in two phases."""
    try:
        import ray
        import ray.data
        from ray.data.checkpoint import CheckpointConfig
    except ImportError as error:
        got = "the engine ray, which takes the library Ray"
        raise MissingExtraError(sentence(got, "it to be installed", installing("ray"))) from error
    if not ray.is_initialized():
        _start(ray)
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=str((place / "checkpoint").resolve()))
    context.enable_progress_bars = False
    answered = ray.data.from_items(rows, override_num_blocks=min(len(rows), 4 * settings.workers)).map_batches(
        BatchAnswerer,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=settings.workers),
        fn_constructor_kwargs={"plan": plan, "model": model},
        num_gpus=gpus or None,
    )
    answered.write_parquet(str((place / "records").resolve()))


def _start(ray: Any) -> None:
    """Join the cluster of `RAY_ADDRESS`, or start a local Ray, again where a busy machine kept it from starting."""
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
        return
    cpus = max(_LEAST_CPUS, (os.cpu_count() or 1) + 4)
    for left in reversed(range(_STARTS)):
        try:
            ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            return
        except Exception as error:  # Ray raises bare Exceptions when its processes do not answer in time
            ray.shutdown()
            if not left:
                got = f"a local Ray that did not start ({' '.join(str(error).split())[:120]})"
                remedy = "free the machine, or leave --engine ray out"
                raise DeviceError(sentence(got, "one that answers within 30 seconds", remedy)) from error


def _absorb(journal: Journal, place: Path, model: JobModel) -> None:
    """Move what was written into the journal; files that a kill cut short are left out, and asked again."""
    folder = place / "records"
    if folder.is_dir():
        from pyarrow import ArrowException, parquet

        for path in sorted(folder.rglob("*.parquet")):
            with contextlib.suppress(OSError, ArrowException):
                table = parquet.read_table(path, columns=["records", "presence"]).to_pylist()
                for row in table:
                    journal.write([ImageRecord.from_json(text) for text in json.loads(row["records"])])
                    _tell(journal, model, row["presence"])
    shutil.rmtree(place, ignore_errors=True)


def _tell(journal: Journal, model: JobModel, presence: str) -> None:
    known = journal.method(model.fingerprint)
    if presence and known is not None and known[1] is None:
        journal.add_method(model.fingerprint, known[0], presence=float(presence), joint=known[2])
