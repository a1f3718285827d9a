"""`wordmask annotate`: folders of images and phrases in, a resumable job and data sets of other tools' formats out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.cli.failures import SOME_FAILED, Debug, errors_as_sentences
from wordmask.cli.interruption import INTERRUPTED, TERMINATED, Terminated, termination_raises
from wordmask.cli.job_events import JobEvents

if TYPE_CHECKING:
    from wordmask.annotate.job import JobSettings, Summary
    from wordmask.annotate.models import JobModel
    from wordmask.annotate.ontology import Ontology

_IMAGES = (
    "Files, folders (with their subfolders), quoted globs, .txt lists, COCO files, YOLO's data.yaml, hf:owner/name, "
    "and addresses of fsspec such as s3://bucket/folder."
)
_PROMPT = "A phrase, or phrase=class; repeat it for more."
_ONTOLOGY = "A YAML or JSON file of classes with their phrases, negatives and thresholds."
_MODEL = "As for wordmask segment. Default: compact, the embedded weights."
_FORMAT = "What to write: coco, coco-results and others (wordmask export --list). Repeat it for more. Default: coco."
_EXISTING = "Results and labels that are there: append to them, replace them, or skip images that have every phrase."
_SHARD = "Annotate a part, such as 2/8, into a journal of its own; wordmask annotate --merge joins them."
_REFINE = "Whether masks are redrawn at the image's own resolution. Default: the model's."
_ENGINE = "local, or ray: a Ray cluster (RAY_ADDRESS) or a local Ray; --workers is then the number of actors."
_PREVIEW = "Only write a page with this many images and sliders for the thresholds: OUT/preview.html."
_REVIEW = "After the job, write this many of the riskiest images as a Label Studio project: OUT/review."
_SECOND = "Another model, whose disagreement counts for --review."
_CACHE = "A folder in which image features are kept, so that new phrases of known images encode nothing."


def annotate(
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGES", help=_IMAGES, show_default=False)] = None,
    *,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", "-p", help=_PROMPT, show_default=False)] = None,
    ontology: Annotated[Path | None, typer.Option(help=_ONTOLOGY, show_default=False)] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=_MODEL, show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    refine: Annotated[bool | None, typer.Option("--refine/--no-refine", help=_REFINE, show_default=False)] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the job and of its exports.")] = Path("labelled"),
    format: Annotated[list[str] | None, typer.Option("--format", "-f", help=_FORMAT, show_default=False)] = None,  # noqa: A002
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Lowest detection score that is exported.")] = 0.0,
    min_mask_score: Annotated[float, typer.Option(min=0, max=1, help="Lowest mask quality that is exported.")] = 0.0,
    on_existing: Annotated[str, typer.Option(help=_EXISTING)] = "append",
    shard: Annotated[str | None, typer.Option(help=_SHARD, show_default=False)] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Join the shards in --out, then export.")] = False,
    cache: Annotated[Path | None, typer.Option(help=_CACHE, show_default=False)] = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Images encoded and written together.")] = 8,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read images ahead.")] = 2,
    splits: Annotated[str | None, typer.Option(help="Such as train=0.8,val=0.2.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the splits.")] = 0,
    engine: Annotated[str, typer.Option(help=_ENGINE)] = "local",
    preview: Annotated[int, typer.Option(min=0, help=_PREVIEW)] = 0,
    review: Annotated[int, typer.Option(min=0, help=_REVIEW)] = 0,
    second_model: Annotated[str | None, typer.Option(help=_SECOND, show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event, nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Debug = False,
) -> None:
    """Annotate folders of images by phrases; killed at any moment, the same command continues.

    wordmask annotate photos/ -p "face" -p "left eye=eye" --out labelled --format coco --format yolo

    A file that cannot be read is listed in quarantine.jsonl, and the job goes on.
    """
    events = JobEvents(as_json=as_json, quiet=quiet)
    with errors_as_sentences(debug):
        from wordmask.annotate.job import JobSettings, parse_shard
        from wordmask.annotate.merge import merge_shards
        from wordmask.annotate.splits import parse_splits

        settings = JobSettings(batch=batch, workers=workers, on_existing=on_existing, shard=parse_shard(shard))
        fractions, formats = parse_splits(splits), _checked_formats(format)

        def opened(name: str | None) -> JobModel:
            return _model(name, revision if name == model else None, device, dtype, cache, refine)

        summary = None
        if preview:
            _preview(images or [], _ontology(prompt, ontology), out, opened(model), preview, ontology)
            return
        if merge:
            events.merged(merge_shards(out))
        else:
            concepts = _ontology(prompt, ontology)
            summary = _annotate(images or [], concepts, out, opened(model), settings, events, _checked_engine(engine))
        if settings.shard is None:
            _export(out, formats, fractions, seed, min_score, min_mask_score, on_existing == "replace", events)
        if review:
            second = None if second_model is None else opened(second_model)
            _review(images or [], _ontology(prompt, ontology), out, second, settings, review, events)
    if summary is not None and summary.bad:
        raise typer.Exit(SOME_FAILED)


def _ontology(prompts: list[str] | None, path: Path | None) -> Ontology:
    from wordmask.annotate.ontology import Ontology, parse_prompt, read_ontology

    concepts = list(read_ontology(path).concepts) if path is not None else []
    return Ontology.of([*concepts, *map(parse_prompt, prompts or [])])


def _model(
    model: str | None, revision: str | None, device: str, dtype: str, cache: Path | None, refine: bool | None
) -> JobModel:
    from wordmask.annotate.models import JobModel, fingerprint_of

    def load() -> Any:
        from wordmask.api import load as load_model
        from wordmask.cli.downloads import announce_download

        announce_download(model)
        options = {} if cache is None else {"cache": cache}
        return load_model(model, device=device, dtype=dtype, revision=revision, refine=refine, **options)

    chosen = None if dtype == "auto" else dtype
    rounding = None if cache is None else "float16"
    settings = {"dtype": chosen, "features": rounding, "refine": refine}
    return JobModel(fingerprint_of(model, revision=revision, **settings), load)


def _annotate(
    images: list[str], ontology: Ontology, out: Path, model: JobModel, settings: JobSettings, events: JobEvents,
    engine: str = "local",
) -> Summary:  # fmt: skip
    """Run the job; an interruption ends the process with the usual exit code, and the job may be continued."""
    from wordmask.annotate.inputs import expand_inputs
    from wordmask.annotate.job import run_job
    from wordmask.errors import ImageError, sentence

    if not images:
        remedy = 'name a folder: wordmask annotate photos/ -p "face"'
        raise ImageError(sentence("no images", "files, folders or globs", remedy))
    inputs = expand_inputs(images, out=out)
    try:
        with termination_raises(), events:
            if engine == "ray":
                from wordmask.annotate.ray_engine import run_on_ray

                summary = run_on_ray(inputs, ontology, out, model, settings)
                events.report("end", vars(summary) | {"images_per_second": 0.0})
                return summary
            return run_job(inputs, ontology, out, model, settings, events.report)
    except (KeyboardInterrupt, Terminated) as end:
        typer.echo("Interrupted: what was done is kept, and the same command continues", err=True)
        raise typer.Exit(INTERRUPTED if isinstance(end, KeyboardInterrupt) else TERMINATED) from None


def _checked_engine(name: str) -> str:
    from wordmask.errors import OutputError, quote, sentence

    if name not in ("local", "ray"):
        raise OutputError(sentence(f"the engine {quote(name)}", "local or ray", "choose one of these"))
    return name


def _preview(
    images: list[str], concepts: Ontology, out: Path, model: JobModel, count: int, ontology: Path | None
) -> None:
    """Write the page of a preview."""
    from wordmask.annotate.inputs import expand_inputs
    from wordmask.annotate.preview import spread, write_preview

    path, name = out / "preview.html", "ontology.json" if ontology is None else ontology.with_suffix(".json").name
    chosen = spread(expand_inputs(images, out=out).images, count)
    shown = write_preview(chosen, concepts, model.segmenter, path, name=name)
    typer.echo(f"Wrote {path} with {shown} images: open it, move the sliders and save {name}; then annotate with it")


def _review(
    images: list[str], concepts: Ontology, out: Path, second: JobModel | None, settings: JobSettings, count: int,
    events: JobEvents,
) -> None:  # fmt: skip
    """Write the riskiest images of a job, compared with a second model's where one is named."""
    from dataclasses import replace

    from wordmask.annotate.asking import Plan
    from wordmask.annotate.job import journal_path
    from wordmask.annotate.journal import Journal
    from wordmask.annotate.labelled import LabelledClass, LabelledSet
    from wordmask.annotate.review import write_review

    if second is not None:
        _annotate(images, concepts, out, second, replace(settings, exported=False), events)
    with Journal(journal_path(out), create=False) as journal:
        other = None
        if second is not None:
            keys = Plan.of(concepts, second, journal).of_class
            pairs = zip(concepts.concepts, keys, strict=True)
            classes = [LabelledClass(one.name, own, one.presence) for one, own in pairs]
            other = LabelledSet(journal, classes=classes)
        tasks = write_review(LabelledSet(journal), out / "review", count, other)
    events.exported([out / "review"])
    events.note(f"{tasks} tasks for review, the riskiest first")


def _checked_formats(names: list[str] | None) -> list[str]:
    from wordmask.annotate.exporting import find_format

    chosen = [name for text in names or ["coco"] for name in text.split(",")]
    return [find_format(name).name for name in chosen]


def _export(
    out: Path, formats: list[str], splits: dict[str, float] | None, seed: int, min_score: float,
    min_mask_score: float, replace: bool, events: JobEvents,
) -> None:  # fmt: skip
    """Write the formats where something changed since they were written."""
    import json

    from wordmask.annotate.exporting import export_all
    from wordmask.annotate.exports.base import ExportOptions
    from wordmask.annotate.job import journal_path
    from wordmask.annotate.journal import Journal
    from wordmask.annotate.labelled import LabelledSet

    with Journal(journal_path(out), create=False) as journal:
        journal.set_meta("filters", json.dumps({"min_score": min_score, "min_mask_score": min_mask_score}))
        options = ExportOptions(splits, seed, command=shlex.join(["wordmask", *sys.argv[1:]]))
        state = json.dumps([journal.changes, formats, splits, seed])
        if not replace and journal.note("exported") == state and all((out / name).is_dir() for name in formats):
            return
        files = export_all(LabelledSet(journal), out, formats, options, replace=replace)
        journal.set_note("exported", json.dumps([journal.changes, formats, splits, seed]))
        events.exported(files)
