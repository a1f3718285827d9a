"""`wordmask export`: further formats of a job that is done, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordmask.cli.failures import Debug, errors_as_sentences

if TYPE_CHECKING:
    from wordmask.annotate.exports.base import ExportOptions
    from wordmask.annotate.labelled import Filters

_FORMAT = "Format; repeat it for more."
_PARTS = "YOLO: an object of several parts is joined by thin lines (bridge) or becomes several objects (split)."
_IMAGES = "Images beside their labels where a format wants that: link, copy or none."
_CORRECTED = "Label Studio's JSON export of reviewed tasks: their labels take the place of the model's."


def export(
    job: Annotated[Path | None, typer.Argument(metavar="JOB", help="The --out of wordmask annotate.")] = None,
    *,
    format: Annotated[list[str] | None, typer.Option("--format", "-f", help=_FORMAT, show_default=False)] = None,  # noqa: A002
    list_formats: Annotated[bool, typer.Option("--list", help="List the formats.")] = False,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest detection score.")] = None,
    min_mask_score: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest mask quality.")] = None,
    splits: Annotated[str | None, typer.Option(help="Such as train=0.8,val=0.2.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the splits.")] = 0,
    parts: Annotated[str, typer.Option(help=_PARTS)] = "bridge",
    images: Annotated[str, typer.Option(help=_IMAGES)] = "link",
    corrected: Annotated[Path | None, typer.Option(help=_CORRECTED, show_default=False)] = None,
    on_existing: Annotated[str, typer.Option(help="replace: also what was edited since it was written.")] = "append",
    debug: Debug = False,
) -> None:
    """Write the labels of a job in further formats, read them back, and tell what each could not hold.

    wordmask export labelled --format label-studio --format coco-panoptic
    """
    with errors_as_sentences(debug):
        from wordmask.annotate.exporting import FORMATS, export_all, find_format
        from wordmask.annotate.job import journal_path
        from wordmask.annotate.journal import Journal
        from wordmask.annotate.labelled import LabelledSet

        if list_formats:
            for name in FORMATS:
                typer.echo(f"{name:14} {find_format(name).summary}")
            return
        out = _required(job)
        names = [find_format(name).name for text in format or ["coco"] for name in text.split(",")]
        options = _options(out, names, splits, seed, parts, images)
        with Journal(journal_path(out), create=False) as journal:
            if corrected is not None:
                from wordmask.annotate.corrections import add_corrections

                typer.echo(f"{add_corrections(journal, corrected)} reviewed images")
            labelled = LabelledSet(journal, _filters(journal, min_score, min_mask_score))
            for path in export_all(labelled, out, names, options, replace=on_existing == "replace"):
                typer.echo(f"Wrote {path}")


def _required(job: Path | None) -> Path:
    from wordmask.errors import OutputError, sentence

    if job is None:
        raise OutputError(sentence("no job", "the --out of wordmask annotate", "name it: wordmask export labelled"))
    return job


def _options(out: Path, names: list[str], splits: str | None, seed: int, parts: str, images: str) -> ExportOptions:
    import shlex

    from wordmask.annotate.exports.base import ExportOptions
    from wordmask.annotate.splits import parse_splits
    from wordmask.errors import OutputError, quote, sentence

    for value, choices in ((parts, ("bridge", "split")), (images, ("link", "copy", "none"))):
        if value not in choices:
            raise OutputError(sentence(f"the choice {quote(value)}", " or ".join(choices), "choose one of these"))
    words = ["wordmask", "export", str(out), *(f"--format={name}" for name in names)]
    return ExportOptions(parse_splits(splits), seed, parts, images, shlex.join(words))


def _filters(journal: object, min_score: float | None, min_mask_score: float | None) -> Filters:
    from wordmask.annotate.journal import Journal
    from wordmask.annotate.labelled import Filters, read_filters

    assert isinstance(journal, Journal)
    kept = read_filters(journal)
    return Filters(
        kept.min_score if min_score is None else min_score,
        kept.min_mask_score if min_mask_score is None else min_mask_score,
    )
