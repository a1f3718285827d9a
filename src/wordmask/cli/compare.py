"""`wordmask compare`: several models on the same images, a table and a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.evaluate import (
    BenchmarkName,
    Data,
    DatasetName,
    Device,
    Dtype,
    Exhaustive,
    Images,
    Limit,
    Preset,
    Quiet,
    Seed,
    Split,
    Threshold,
    opened,
    progress,
    stop_if_failed,
)
from wordmask.cli.failures import Debug, errors_as_sentences

_MODELS = "Two or more: a method, local folders or hub ids. The others are compared with the first."
_OUT = "The folder for tables, page and runs. The same command goes on where it was interrupted."
_TASK = "masks, or labels (one name per pixel)."


def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL MODEL...", help=_MODELS, show_default=False)],
    *,
    data: Data = None,
    dataset: DatasetName = None,
    split: Split = None,
    images: Images = None,
    exhaustive: Exhaustive = False,
    task: Annotated[str, typer.Option("--task", "-t", help=_TASK)] = "masks",
    benchmark: BenchmarkName = None,
    preset: Preset = None,
    out: Annotated[Path, typer.Option("--out", "-o", help=_OUT)] = Path("compared"),
    limit: Limit = None,
    seed: Seed = 0,
    threshold: Threshold = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, nothing else.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare models on the same images: paired differences, and a page of the images on which they differ most.

    wordmask compare compact ./my-model --data sets/celebamask --out compared
    """
    options: dict[str, object] = {
        "data": data, "dataset": dataset, "split": split, "images": images, "exhaustive": exhaustive or None,
        "benchmark": benchmark, "task": task, "preset": preset, "limit": limit, "seed": seed, "threshold": threshold,
    }  # fmt: skip
    with errors_as_sentences(debug):
        evaluation = opened(options)  # its errors come before the models are loaded
        from wordmask.evaluation.compare import compare as compare_models
        from wordmask.evaluation.models import EvaluatedModel
        from wordmask.evaluation.provenance import command_line

        for model in models:
            announce_download(model)
        named = options | {"device": device, "dtype": dtype}
        content = compare_models(
            evaluation,
            [EvaluatedModel.load(model, device=device, dtype=dtype) for model in models],
            out,
            command=command_line("compare", named | {"out": out}, tuple(models)),
            commands=[command_line("evaluate", named | {"model": model}) for model in models],
            watch=progress("Comparing", hidden=quiet or as_json),
        )
    if as_json:
        typer.echo((out / "comparison.json").read_text(encoding="utf-8"), nl=False)
    elif not quiet:
        typer.echo(_summary(content, out))
    stop_if_failed(content)


def _summary(content: Mapping[str, Any], out: Path) -> str:
    from wordmask.cli.printed import escaped
    from wordmask.evaluation.report.markdown import interval_text

    data = content["data"]
    lines = [f"{data['name']} {data['split']}, {content['samples']} samples: {content['title']}, {content['preset']}"]
    for entry in content["models"]:
        scores = (f"{name} {interval_text(entry['scores'].get(name))}" for name in content["headline"])
        lines.append(f"  {entry['label']}: {', '.join(scores)}")
    for one in content["differences"]:
        scores = (f"{name} {interval_text(score, sign=True)}" for name, score in list(one["scores"].items())[:3])
        lines.append(f"  {one['model']} less {one['from']}: {', '.join(scores)}")
    lines.append(f"In percent, with 95 % intervals. Open {out / 'index.html'}")
    return "\n".join(escaped(line) for line in lines)
