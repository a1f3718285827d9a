"""`wordmask evaluate`: scores of a model on a data set, with intervals."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import SOME_FAILED, Debug, errors_as_sentences

if TYPE_CHECKING:
    from wordmask.evaluation.runner import Evaluation, Watch

TASK_HELP = "masks, labels (one name per pixel), instances (COCO's AP), proposals or boxes."
BENCHMARK_HELP = "A table of a paper, instead of --task; --list shows them all."
DATA_HELP = "A CSV table, COCO JSON, or a folder: label maps, instances, or a published set as its authors lay it out."
DATASET_HELP = "Name of a published data set in --data, such as refcoco; --list shows them. Default: look at the files."
SPLIT_HELP = "Part of the data. Default: val, or everything where there are no parts."
IMAGES_HELP = "Folder that the file names of COCO annotations start from."
EXHAUSTIVE_HELP = "Names not marked in an image are known to be absent. Default: as the data say."
PRESET_HELP = "Protocol of the task or benchmark; --list shows them. Default: the first."
OUT_HELP = "The run folder. The same command goes on where a run in it was interrupted."
LIMIT_HELP = "Number of samples, from the start."
SEED_HELP = "Of data that are drawn, and of the intervals."
THRESHOLD_HELP = "Probability above which a pixel belongs to a mask. Default: the preset's."
REFINE_HELP = "Whether masks are redrawn at the image's own resolution. Default: the model's."
MIRROR_HELP = "Segment mirrored images, too, with left and right swapped: about three times the time."

Data = Annotated[Path | None, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)]
DatasetName = Annotated[str | None, typer.Option("--dataset", help=DATASET_HELP, show_default=False)]
Split = Annotated[str | None, typer.Option(help=SPLIT_HELP, show_default=False)]
Images = Annotated[Path | None, typer.Option(help=IMAGES_HELP, show_default=False)]
Exhaustive = Annotated[bool, typer.Option("--exhaustive", help=EXHAUSTIVE_HELP)]
TaskName = Annotated[str, typer.Option("--task", "-t", help=TASK_HELP)]
BenchmarkName = Annotated[str | None, typer.Option("--benchmark", "-b", help=BENCHMARK_HELP, show_default=False)]
Preset = Annotated[str | None, typer.Option(help=PRESET_HELP, show_default=False)]
Limit = Annotated[int | None, typer.Option(help=LIMIT_HELP, show_default=False)]
Seed = Annotated[int, typer.Option(min=0, help=SEED_HELP)]
Threshold = Annotated[float | None, typer.Option(min=0.0, max=1.0, help=THRESHOLD_HELP, show_default=False)]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def evaluate(
    *,
    data: Data = None,
    dataset: DatasetName = None,
    split: Split = None,
    images: Images = None,
    exhaustive: Exhaustive = False,
    task: TaskName = "masks",
    benchmark: BenchmarkName = None,
    preset: Preset = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="As for segment.", show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP, show_default=False)] = None,
    limit: Limit = None,
    seed: Seed = 0,
    threshold: Threshold = None,
    mirror: Annotated[bool, typer.Option("--mirror", help=MIRROR_HELP)] = False,
    refine: Annotated[bool | None, typer.Option("--refine/--no-refine", help=REFINE_HELP, show_default=False)] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")] = False,
    quiet: Quiet = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show tasks, benchmarks and published data sets.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a data set, with 95 % intervals; interrupted runs go on where they stopped.

    wordmask evaluate --data sets/celebamask

    wordmask evaluate --data annotations.json --images photos --task instances

    wordmask evaluate --benchmark phrasecut --data PhraseCut --model CIDAS/clipseg-rd64-refined
    """
    if list_all:
        typer.echo(listing())
        return
    options: dict[str, object] = {
        "data": data, "dataset": dataset, "split": split, "images": images, "exhaustive": exhaustive or None,
        "benchmark": benchmark, "task": task, "preset": preset, "limit": limit, "seed": seed, "threshold": threshold,
        "mirror": mirror,
    }  # fmt: skip
    with errors_as_sentences(debug):
        evaluation = opened(options)  # its errors come before the model is loaded
        from wordmask.evaluation.models import EvaluatedModel
        from wordmask.evaluation.provenance import command_line
        from wordmask.evaluation.runner import run

        announce_download(model)
        evaluated = EvaluatedModel.load(model, revision=revision, device=device, dtype=dtype, refine=refine)
        folder = out or Path("evaluated") / _stem(evaluation, evaluated.name)
        more = {"model": model, "revision": revision, "out": out, "device": device, "dtype": dtype}
        command = command_line("evaluate", options | more | {"refine": refine, "no-refine": refine is False})
        watch = progress("Evaluating", hidden=quiet or as_json)
        result = run(evaluation, evaluated, folder, command=command, watch=watch)
    if as_json:
        typer.echo((folder / "result.json").read_text(encoding="utf-8"), nl=False)
    elif not quiet:
        typer.echo(summary(result, folder))
    stop_if_failed(result)


def stop_if_failed(result: Mapping[str, Any]) -> None:
    """Say which samples could not be read and are in no score.

    Raises:
        typer.Exit: With `SOME_FAILED`, if there are any.
    """
    from wordmask.cli.printed import escaped
    from wordmask.evaluation.report.markdown import failed_lines

    failed = result.get("failed", ())
    if not failed:
        return
    some = "1 sample, which is in no score" if len(failed) == 1 else f"{len(failed)} samples, which are in no score"
    lines = [f"Left out {some}; corrected files count when the same command runs again:", *failed_lines(failed)]
    for line in lines:
        typer.secho(escaped(line), fg=typer.colors.YELLOW, err=True)
    raise typer.Exit(SOME_FAILED)


def opened(options: Mapping[str, Any]) -> Evaluation:
    """Open the data of an evaluation, check its options and list what is wrong with the data.

    Raises:
        WordmaskError: If the data cannot be opened or the options do not fit together.
    """
    from wordmask.cli.printed import escaped
    from wordmask.data.problems import SHOWN, problems_of
    from wordmask.evaluation.api import open_evaluation

    evaluation = open_evaluation(options["data"], **{name: options[name] for name in options if name != "data"})
    problems = problems_of(evaluation.data)
    more = [f"{len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    for problem in [*problems[:SHOWN], *more]:
        typer.secho(f"Left out: {escaped(problem)}", fg=typer.colors.YELLOW, err=True)
    return evaluation


def progress(what: str, *, hidden: bool) -> Watch | None:
    """Return a progress bar on standard error for a run; None where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        return None

    def watched(indices: Iterable[int], done: int, count: int) -> Iterator[int]:
        with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task(what, total=count, completed=done)
            for index in indices:
                yield index
                bar.advance(task)

    return watched


def summary(result: Mapping[str, Any], folder: Path) -> str:
    """Return the first scores of a result for people, and where the rest is."""
    from wordmask.cli.printed import escaped
    from wordmask.evaluation.report.comparison import PRESENCE_SHOWN
    from wordmask.evaluation.report.markdown import interval_text

    data = result["data"]
    lines = [f"{data['name']} {data['split']}, {result['samples']} samples: {result['title']}, {result['preset']}"]
    names = [*result["headline"], *(name for name in PRESENCE_SHOWN if name in result["presence"])]
    scores = result["presence"] | result["scores"]
    lines += [f"  {name:<18}{interval_text(scores[name], name=name)}" for name in names]
    lines.append(f"In percent, with 95 % intervals. Written to {folder / 'result.json'} and result.md")
    if data["name"] == "shapes":
        lines.append("shapes are drawings for trying the commands: they say nothing about a model for photographs")
    return "\n".join(escaped(line) for line in lines)


def listing() -> str:
    """Return every task and benchmark with its presets, and every published data set with its splits."""
    from wordmask.data.registry import NAMED_SETS
    from wordmask.evaluation.benchmarks import BENCHMARKS, TASKS

    lines = []
    for title, group in (("Tasks (--task), on any data:", TASKS), ("Benchmarks (--benchmark):", BENCHMARKS)):
        lines.append(title)
        for benchmark in group.values():
            lines.append(f"  {benchmark.name}: {benchmark.title} ({benchmark.source})")
            if benchmark.dataset is not None:
                lines.append(f"    data     {NAMED_SETS[benchmark.dataset].layout}")
                lines.append(f"    splits   {', '.join(NAMED_SETS[benchmark.dataset].splits)}")
            lines += [f"    {preset:<8} {protocol.note}" for preset, protocol in benchmark.presets.items()]
    lines.append("Data sets (--dataset):")
    lines += [f"  {entry.name}: {entry.title} ({', '.join(entry.splits)})" for entry in NAMED_SETS.values()]
    return "\n".join(lines)


def _stem(evaluation: Evaluation, model: str) -> str:
    from wordmask.formats.files import file_names

    data = evaluation.data
    preset, _ = evaluation.benchmark.protocol(evaluation.preset)
    return file_names([f"{evaluation.benchmark.name}-{data.name}-{data.split}-{preset}-{model}"], suffix="")[0]
