"""`wordmask compare`: several models on the same pictures, a table and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wordmask.cli.evaluate import (
    BENCHMARK_HELP,
    DATA_HELP,
    LIMIT_HELP,
    PRESET_HELP,
    SEED_HELP,
    SET_HELP,
    SPLIT_HELP,
    THRESHOLD_HELP,
    evaluation_of,
    given,
    options_of,
    progress,
)
from wordmask.cli.failures import Debug, one_sentence

_MODELS = "Two or more: a method, local folders or hub ids. The others are compared with the first."
_OUT = "The folder for tables, page and runs. The same command goes on where it was interrupted."


def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL MODEL...", help=_MODELS, show_default=False)],
    *,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help=BENCHMARK_HELP)] = "plain",
    data: Annotated[Path | None, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)] = None,
    set_name: Annotated[str | None, typer.Option("--set", help=SET_HELP, show_default=False)] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help=_OUT)] = Path("compared"),
    split: Annotated[str | None, typer.Option(help=SPLIT_HELP, show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP, show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(help=LIMIT_HELP, show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help=SEED_HELP)] = 0,
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=THRESHOLD_HELP, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Debug = False,
) -> None:
    """Put models side by side on the same pictures: paired differences, and a page of where they differ most.

    wordmask compare clipseg ./my-model --data sets --set celebamask --out compared
    """
    with one_sentence(debug):
        asked = evaluation_of(benchmark, data, set_name, split, preset, limit, seed, threshold, False)
        options = options_of(asked, data, set_name) | {"device": given(device), "dtype": given(dtype)}
        asked.dataset()  # its errors come before the models are loaded
        from wordmask.evaluate.compare import compare as compare_models
        from wordmask.evaluate.provenance import command_line
        from wordmask.evaluate.run import Candidate

        candidates = [Candidate.find(model, revision=None, device=device, dtype=dtype) for model in models]
        content = compare_models(
            asked,
            candidates,
            out,
            command=command_line("compare", options | {"out": out}, tuple(models)),
            commands=[command_line("evaluate", options | {"model": model}) for model in models],
            watch=progress("Comparing", hidden=quiet or as_json),
        )
    if as_json:
        typer.echo((out / "comparison.json").read_text(encoding="utf-8"), nl=False)
    elif not quiet:
        typer.echo(_summary(content, out))


def _summary(content: dict[str, Any], out: Path) -> str:
    from wordmask.cli.printed import escaped
    from wordmask.evaluate.report import interval_text

    lines = [f"{content['title']}: {content['data']['name']} {content['data']['split']}, {content['samples']} samples"]
    for entry in content["models"]:
        scores = (f"{name} {interval_text(entry['scores'].get(name))}" for name in content["headline"])
        lines.append(f"  {entry['label']}: {', '.join(scores)}")
    for one in content["differences"]:
        scores = (f"{name} {interval_text(score, sign=True)}" for name, score in list(one["scores"].items())[:3])
        lines.append(f"  {one['model']} less {one['from']}: {', '.join(scores)}")
    lines.append(f"In percent, with 95 % intervals. Open {out / 'index.html'}")
    return "\n".join(escaped(line) for line in lines)
