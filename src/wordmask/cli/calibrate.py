"""`wordmask calibrate`: presence thresholds that hold on a user's own images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordmask.cli.failures import Debug, errors_as_sentences

if TYPE_CHECKING:
    from wordmask.annotate.calibration import Evidence, Fitted
    from wordmask.annotate.ontology import Ontology

_DATA = "Labelled images in any shape that wordmask train takes; absent classes must be known (see --exhaustive)."
_JOB = "Instead of --data: a job with reviewed images (wordmask export JOB --corrected ...)."
_ONTOLOGY = "File of the classes; thresholds are written back into it."
_MISSING = "Give images that do not show them; with --exhaustive, what is not marked in an image is absent from it."
_EXHAUSTIVE = "Classes that are not marked in an image of --data are absent from it."


def calibrate(
    *,
    ontology: Annotated[Path, typer.Option(help=_ONTOLOGY)],
    data: Annotated[Path | None, typer.Option(help=_DATA, show_default=False)] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of a published set.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data.", show_default=False)] = None,
    exhaustive: Annotated[bool | None, typer.Option("--exhaustive/--not-exhaustive", help=_EXHAUSTIVE)] = None,
    job: Annotated[Path | None, typer.Option(help=_JOB, show_default=False)] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="As for segment.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    fpr: Annotated[float, typer.Option(min=0.001, max=0.5, help="Highest rate of false masks.")] = 0.05,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="How sure the rate is.")] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Fit the presence threshold of every class to images that are known to show it or not.

    wordmask calibrate --data labelled/ --ontology concepts.yaml --fpr 0.05
    """
    with errors_as_sentences(debug):
        from wordmask.annotate.calibration import fit_all
        from wordmask.annotate.models import fingerprint_of
        from wordmask.annotate.ontology import read_ontology, write_ontology

        concepts = read_ontology(ontology)
        if job is not None:
            evidence, method = _of_job(job)
        else:
            evidence = _of_data(data, dataset, split, exhaustive, concepts, model, device)
            method = fingerprint_of(model)
        fitted = fit_all(evidence, fpr=fpr, confidence=confidence)
        for name, one in fitted.items():
            if one.absent:
                about = one.to_json(fpr=fpr, confidence=confidence, method=method)
                concepts = concepts.changed(name, presence=one.threshold, calibration=about)
        is_changed = any(one.absent for one in fitted.values())
        if is_changed:
            write_ontology(concepts, ontology)
        if as_json:
            typer.echo(json.dumps({name: vars(one) for name, one in fitted.items()}, ensure_ascii=False))
            return
        for name, one in fitted.items():
            typer.echo(_line(name, one, fpr, confidence))
        typer.echo(f"Wrote {ontology}" if is_changed else f"{ontology} is as it was. {_MISSING}")


def _of_job(job: Path) -> tuple[dict[str, Evidence], str]:
    from wordmask.annotate.evidence import evidence_of_review
    from wordmask.annotate.job import journal_path
    from wordmask.annotate.journal import Journal

    with Journal(journal_path(job), create=False) as journal:
        return evidence_of_review(journal), "job"


def _of_data(
    data: Path | None, dataset: str | None, split: str | None, exhaustive: bool | None, concepts: Ontology,
    model: str | None, device: str,
) -> dict[str, Evidence]:  # fmt: skip
    from wordmask.annotate.evidence import evidence_of_data
    from wordmask.api import load
    from wordmask.cli.downloads import announce_download
    from wordmask.data.registry import open_data

    opened = open_data(data, dataset=dataset, split=split, exhaustive=exhaustive)
    announce_download(model)
    return evidence_of_data(opened, concepts, load(model, device=device))


def _line(name: str, one: Fitted, fpr: float, confidence: float) -> str:
    """Say what a threshold promises, or what is missing for the promise."""
    from wordmask.annotate.calibration import needed

    if not one.absent:
        return f"{name}: no image is known not to show it; its threshold stays"
    of = "images without any class" if one.pooled else "images without it"
    recall = f", finds it in {one.recall:.0%} of {one.shown} images" if one.shown else ", no image with it"
    held = f"{name}: presence {one.threshold:.3f}{recall}; at most {one.bound:.1%} false masks, {confidence:.0%} sure"
    if one.kept:
        return f"{held} ({one.false} of {one.absent} {of})"
    least = needed(fpr, confidence)
    return f"{held}; at most {fpr:.0%} needs {least} {of}, there are {one.absent}"
