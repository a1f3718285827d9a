"""`wordmask evaluate`: a model over a benchmark, scores with intervals."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.cli.failures import Debug, one_sentence

if TYPE_CHECKING:
    from wordmask.evaluate.run import Evaluation, Watch

BENCHMARK_HELP = "What to measure; --list shows them all."
DATA_HELP = "The folder of the data set, as its authors lay it out; with --set, the folder that holds the sets."
SET_HELP = "A set in the plain layout inside --data, such as celebamask."
SPLIT_HELP = "Which part of the data. Default: the benchmark's own."
PRESET_HELP = "paper, code or original: the readings of the protocol. Default: the first that --list shows."
OUT_HELP = "The folder of the run. The same command goes on where a run in it was interrupted."
LIMIT_HELP = "At most so many samples, from the start."
SEED_HELP = "Of data that are drawn, and of the intervals."
THRESHOLD_HELP = "Probability above which a pixel belongs to a mask. Default: the preset's."
MIRROR_HELP = "Ask mirrored pictures, too, with left and right swapped: about three times the time."


def evaluate(
    *,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help=BENCHMARK_HELP)] = "plain",
    data: Annotated[Path | None, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)] = None,
    set_name: Annotated[str | None, typer.Option("--set", help=SET_HELP, show_default=False)] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="As for segment.", show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP, show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help=SPLIT_HELP, show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP, show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(help=LIMIT_HELP, show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help=SEED_HELP)] = 0,
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=THRESHOLD_HELP, show_default=False)] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help=MIRROR_HELP)] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show the benchmarks, their splits and presets.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a benchmark, with 95 % intervals; interrupted runs go on where they stopped.

    wordmask evaluate --data sets --set celebamask

    wordmask evaluate --benchmark phrasecut --data PhraseCut --model CIDAS/clipseg-rd64-refined
    """
    if list_all:
        typer.echo(listing())
        return
    with one_sentence(debug):
        asked = evaluation_of(benchmark, data, set_name, split, preset, limit, seed, threshold, mirror)
        options = options_of(asked, data, set_name)
        asked.dataset()  # its errors come before the model is loaded
        from wordmask.evaluate.provenance import command_line
        from wordmask.evaluate.run import Candidate, run

        candidate = Candidate.find(model, revision=revision, device=device, dtype=dtype)
        folder = out or Path("evaluated") / _stem(asked, candidate.name)
        more = {"model": model, "revision": revision, "out": out, "device": given(device), "dtype": given(dtype)}
        command = command_line("evaluate", options | more)
        result = run(asked, candidate, folder, command=command, watch=progress("Evaluating", hidden=quiet or as_json))
    if as_json:
        typer.echo((folder / "result.json").read_text(encoding="utf-8"), nl=False)
    elif not quiet:
        typer.echo(summary(result, folder))


def evaluation_of(
    benchmark: str,
    data: Path | None,
    set_name: str | None,
    split: str | None,
    preset: str | None,
    limit: int | None,
    seed: int,
    threshold: float | None,
    mirror: bool,
) -> Evaluation:
    """Return what is to be run.

    Raises:
        WordmaskError: If there is no such benchmark or preset, or `--set` has no folder.
    """
    from wordmask.errors import DataError, sentence
    from wordmask.evaluate.benchmarks import find_benchmark
    from wordmask.evaluate.run import Evaluation

    chosen = find_benchmark(benchmark)
    if set_name is not None:
        if data is None:
            raise DataError(sentence("--set without --data", "the folder that holds the sets", "name it with --data"))
        data = data / set_name
    chosen.rules(preset)
    return Evaluation(chosen, data, split, preset, limit, seed, threshold, mirror)


def options_of(asked: Evaluation, data: Path | None, set_name: str | None) -> dict[str, object]:
    """Return the options that both commands share, for the command line in the result."""
    return {
        "benchmark": asked.benchmark.name,
        "data": data,
        "set": set_name,
        "split": asked.split,
        "preset": asked.preset,
        "limit": asked.limit,
        "seed": asked.seed,
        "threshold": asked.threshold,
        "mirror": asked.mirror,
    }


def given(value: str) -> str | None:
    """Return an option's value unless it is the default."""
    return None if value == "auto" else value


def progress(what: str, *, hidden: bool) -> Watch | None:
    """Return a progress bar on standard error for a run; None where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        return None

    def watched(positions: Iterable[int], done: int, count: int) -> Iterator[int]:
        with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task(what, total=count, completed=done)
            for position in positions:
                yield position
                bar.advance(task)

    return watched


def summary(result: dict[str, Any], folder: Path) -> str:
    """Return the first scores of a result for people, and where the rest is."""
    from wordmask.cli.printed import escaped
    from wordmask.evaluate.report import interval_text

    lines = [
        f"{result['title']}: {result['data']['name']} {result['data']['split']}, {result['samples']} samples, "
        f"preset {result['preset']}"
    ]
    names = [*result["headline"], *(name for name in ("auroc", "fpr@0.95") if name in result["presence"])]
    scores = result["scores"] | {name: result["presence"][name] for name in names if name in result["presence"]}
    lines += [f"  {name:<18}{interval_text(scores[name], name=name)}" for name in names]
    lines.append(f"In percent, with 95 % intervals. Written to {folder / 'result.json'} and result.md")
    return "\n".join(escaped(line) for line in lines)


def listing() -> str:
    """Return every benchmark with its splits and presets."""
    from wordmask.evaluate.benchmarks import BENCHMARKS

    lines = []
    for benchmark in BENCHMARKS.values():
        lines.append(f"{benchmark.name}: {benchmark.title} ({benchmark.source})")
        lines.append(f"    data     {benchmark.layout}")
        lines.append(f"    splits   {', '.join(benchmark.splits)}{', …' if benchmark.free_split else ''}")
        lines += [f"    {preset:<8} {rules.note}" for preset, rules in benchmark.presets.items()]
    return "\n".join(lines)


def _stem(asked: Evaluation, model: str) -> str:
    from wordmask.formats.files import file_names

    data = asked.dataset()
    preset, _ = asked.benchmark.rules(asked.preset)
    return file_names([f"{asked.benchmark.name}-{data.name}-{data.split}-{preset}-{model}"], suffix="")[0]
