"""The job: images and an ontology in, a journal of answers out; resumable, sharded, of constant memory."""

from __future__ import annotations

import contextlib
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.annotate.asking import Asker, Plan
from wordmask.annotate.journal import JOURNAL_NAME, Journal
from wordmask.annotate.reading import read_ahead, read_image
from wordmask.annotate.records import ImageRecord
from wordmask.errors import DataError, OutputError, quote, sentence
from wordmask.formats.coco_file import checked_on_existing
from wordmask.formats.files import write
from wordmask.formats.lock import LockedError, locked_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wordmask.annotate.journal import ImageRow
    from wordmask.annotate.models import JobModel
    from wordmask.annotate.ontology import Ontology
    from wordmask.annotate.reading import LoadedImage
    from wordmask.annotate.sources import ImageSource, Inputs

__all__ = [
    "JobSettings",
    "Summary",
    "begin_job",
    "chunks_of",
    "journal_path",
    "locked_job",
    "parse_shard",
    "pending_of",
    "run_job",
    "write_quarantine",
]

QUARANTINE_NAME = "quarantine.jsonl"


@dataclass(frozen=True)
class JobSettings:
    """How a job runs.

    Attributes:
        batch: Images that are read, encoded and written together.
        workers: Threads that read ahead.
        on_existing: What is done with results and labels that are there: `append`, `replace` or `skip`.
        shard: `(number, count)`, the number from 1; None for the whole.
        exported: Whether the classes become those of the exports; not so for a second model's.
    """

    batch: int = 8
    workers: int = 2
    on_existing: str = "append"
    shard: tuple[int, int] | None = None
    exported: bool = True


@dataclass
class Summary:
    """What a run did.

    Attributes:
        total: Images that it was given.
        known: Images that had all answers before.
        done: Images that got answers.
        copies: Of these, images with the bytes of another.
        bad: Images that were refused.
        seconds: Time that it took, without loading the model.
    """

    total: int = 0
    known: int = 0
    done: int = 0
    copies: int = 0
    bad: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Images a second."""
        return (self.done + self.bad) / self.seconds if self.seconds > 0 else 0.0


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return `(2, 8)` for `2/8`.

    Raises:
        DataError: If it is none.
    """
    if text is None:
        return None
    first, _, second = text.partition("/")
    if first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second) <= 10_000:
        return int(first), int(second)
    got = f"the shard {quote(text)}"
    raise DataError(sentence(got, "NUMBER/COUNT with numbers from 1", "write for example --shard 2/8"))


def journal_path(out: Path, shard: tuple[int, int] | None = None) -> Path:
    """Return the journal of a job, or of one of its shards."""
    if shard is None:
        return out / JOURNAL_NAME
    return out / f"journal.shard-{shard[0]}-of-{shard[1]}.sqlite"


@contextlib.contextmanager
def locked_job(out: Path, shard: tuple[int, int] | None) -> Iterator[None]:
    """Hold a job's folder, or one shard of it.

    Raises:
        OutputError: If another process works on it.
    """
    path = journal_path(out, shard)
    lock = locked_file(path.with_name(f".{path.stem}.lock"))
    try:
        lock.__enter__()
    except LockedError as error:
        got = f"the folder {quote(out)}, in which {error.owner} is annotating"
        remedy = "wait, choose another --out, or let both share the work: --shard 1/2 and --shard 2/2, then --merge"
        raise OutputError(sentence(got, "a folder that no other run writes to", remedy)) from None
    with contextlib.ExitStack() as stack:
        stack.push(lock)
        yield


def run_job(
    inputs: Inputs,
    ontology: Ontology,
    out: Path,
    model: JobModel,
    settings: JobSettings | None = None,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> Summary:
    """Answer the ontology's phrases about all images, and keep the answers in the journal of `out`.

    Answers that are there already are not computed again. A run that is killed loses at most the batch that it worked
    on, and the next one continues; the results are those of a run that was never interrupted.

    Args:
        inputs: Images and the labels that they have.
        ontology: Phrases and classes.
        out: Folder of the job; one process at a time writes to it, or to each of its shards.
        model: What is asked.
        settings: How.
        report: Called with "start", "batch", "image", "bad" or "end" and the facts, as the job goes on.

    Raises:
        OutputError: If the folder is in use or cannot be written.
        WordmaskError: What is not one image's fault, such as weights that overflow.
    """
    settings = settings or JobSettings()
    checked_on_existing(settings.on_existing)
    with locked_job(out, settings.shard), Journal(journal_path(out, settings.shard)) as journal:
        plan = Plan.of(ontology, model, journal)
        begin_job(journal, plan, inputs, settings)
        run = _Run(journal, Asker(plan, model), settings, report or _silent)
        summary = run.through(inputs.images)
        write_quarantine(journal, out)
        return summary


def _silent(_: str, __: dict[str, Any]) -> None:
    pass


def begin_job(journal: Journal, plan: Plan, inputs: Inputs, settings: JobSettings) -> None:
    """Keep classes and labels that were there."""
    if not settings.exported:
        return
    replacing = settings.on_existing == "replace"
    if replacing:
        journal.drop_given()
    before = [] if replacing else json.loads(journal.meta("classes") or "[]")
    names = () if replacing else inputs.names
    skip = settings.on_existing == "skip"
    journal.set_meta("classes", json.dumps(plan.merged_classes(before, names, journal, skip=skip)))
    if inputs.licences:
        journal.set_meta("licences", json.dumps(inputs.licences))
    for uri, labels in inputs.labels.items() if not replacing else ():
        if len(journal.given(uri)) != len(labels):
            journal.set_given(uri, labels)


def chunks_of(images: Sequence[ImageSource], settings: JobSettings) -> list[Sequence[ImageSource]]:
    """Return the batches of a job or a shard; they are the same in any number of shards."""
    chunks = [images[start : start + settings.batch] for start in range(0, len(images), settings.batch)]
    if settings.shard is None:
        return chunks
    number, count = settings.shard
    return chunks[number - 1 :: count]


def pending_of(chunk: Sequence[ImageSource], plan: Plan, journal: Journal, settings: JobSettings) -> list[ImageSource]:
    """Return the images that lack answers, changed, or were refused before."""
    skip = settings.on_existing == "skip"
    return [source for source in chunk if not _is_done(source, plan, journal, skip=skip)]


def _is_done(source: ImageSource, plan: Plan, journal: Journal, *, skip: bool) -> bool:
    if any("\ud800" <= character <= "\udfff" for character in source.uri):
        return False
    row = journal.image(source.uri)
    if row is None or row.error is not None or not row.signature or row.signature != source.signature():
        return False
    return not plan.missing(journal, row.content, skip=skip)


class _Run:
    """One pass over the images."""

    def __init__(
        self,
        journal: Journal,
        asker: Asker,
        settings: JobSettings,
        report: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.journal, self.asker, self.settings, self.report = journal, asker, settings, report
        self.summary = Summary()

    def through(self, images: Sequence[ImageSource]) -> Summary:
        chunks = chunks_of(images, self.settings)
        self.summary.total = sum(map(len, chunks))
        self.report("start", {"images": self.summary.total, "phrases": len(self.asker.plan.questions)})
        began = time.monotonic()
        window = max(2 * self.settings.batch, 2 * self.settings.workers)
        pending = (self._pending(chunk) for chunk in chunks)
        for loaded in read_ahead(pending, self._read, workers=self.settings.workers, window=window):
            self._write(loaded)
            self.summary.seconds = time.monotonic() - began
            self._progress()
        self.summary.seconds = time.monotonic() - began
        self.report("end", vars(self.summary) | {"images_per_second": round(self.summary.per_second, 3)})
        return self.summary

    def _read(self, source: ImageSource) -> LoadedImage:
        return read_image(source, self.asker.find)

    def _pending(self, chunk: Sequence[ImageSource]) -> list[ImageSource]:
        """The images of a chunk that lack answers, or were refused before."""
        pending = pending_of(chunk, self.asker.plan, self.journal, self.settings)
        self.summary.known += len(chunk) - len(pending)
        if pending and not self.asker.is_ready and any(self._is_new(source) for source in pending):
            self.asker.prepare()  # so that cached features are found from the first image on
        return pending

    def _is_new(self, source: ImageSource) -> bool:
        row = self.journal.image(_text(source.uri))
        return row is None or row.error is None

    def _missing(self, content: str) -> list[str]:
        plan = self.asker.plan
        return plan.missing(self.journal, content, skip=self.settings.on_existing == "skip")

    def _write(self, loaded: list[LoadedImage]) -> None:
        """Answer what is missing about images, once for each content, and write them together."""
        asked: dict[str, LoadedImage] = {}
        for one in loaded:
            if one.image is not None and one.content not in asked and self._missing(one.content):
                asked[one.content] = one
        answers = self.asker.answer([(one, self._missing(one.content)) for one in asked.values()])
        self.summary.copies += sum(one.image is not None for one in loaded) - len(asked)
        records = []
        for one in loaded:
            found = answers.pop(one.content, ()) if asked.get(one.content) is one else ()
            size = one.image.size if one.image is not None else (0, 0)
            records.append(ImageRecord(_text(one.source.uri), one.signature, one.content, size, one.error, found))
        self.journal.write(records)
        self.asker.tell(self.journal)
        for record in records:
            self._count(record)

    def _count(self, record: ImageRecord) -> None:
        if record.error is None:
            self.summary.done += 1
            presences = {a.question: a.presence for a in record.answers}
            self.report("image", {"uri": record.uri, "presence": presences})
        else:
            self.summary.bad += 1
            self.report("bad", {"uri": record.uri, "error": record.error})

    def _progress(self) -> None:
        summary = self.summary
        passed = summary.known + summary.done + summary.bad
        speed = summary.per_second
        left = (summary.total - passed) / speed if speed else math.inf
        facts = {"passed": passed, "total": summary.total, "images_per_second": round(speed, 3)}
        self.report("batch", facts | {"seconds_left": round(left, 1) if math.isfinite(left) else None})


def _text(uri: str) -> str:
    """The uri in valid Unicode."""
    return uri.encode("utf-8", "backslashreplace").decode()


def write_quarantine(journal: Journal, out: Path) -> Path:
    """Write the list of images that were refused, one JSON object a line; removed where there are none.

    Raises:
        OutputError: If it cannot be written.
    """
    path = out / QUARANTINE_NAME
    bad: list[ImageRow] = [row for row in journal.images() if row.error is not None]
    if not bad:
        path.unlink(missing_ok=True)
        return path
    lines = (json.dumps({"image": row.uri, "error": row.error}, ensure_ascii=False) for row in bad)
    return write(path, ("\n".join(lines) + "\n").encode())
