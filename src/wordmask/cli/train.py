"""`wordmask train`: train a model on your own images, or repeat an experiment of a paper."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import Debug, errors_as_sentences

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from wordmask.training.forgetting.probe import ProbeChoice
    from wordmask.training.loop import StepReport
    from wordmask.training.recipe import Recipe

RECIPE_HELP = "Recipe, such as finetune; --list shows all its values."
DATA_HELP = (
    "A CSV table, a COCO JSON file, a folder with images, labels and classes.json, or the folder of --dataset. "
    "The recipes pmp and compact also train on boxes without masks: weak.json, or COCO JSON."
)
DATASET_HELP = "Name of a data set that wordmask reads, such as coco-stuff-171."
VALID_HELP = "Other data for validation, in one of the same shapes. Default: the val part, or some images held out."
IMAGES_HELP = "Folder that the file names in a COCO JSON file start from."
EXHAUSTIVE_HELP = "Everything that has a name is marked in every image: the other names are absent."
MODEL_HELP = "Model to start from, as for segment; for a fresh decoder, the folder of its CLIP."
OUT_HELP = "Folder of the run. The same command continues a run that was interrupted."
SKIP_HELP = "Leave out what is wrong with the data, and list it."
CHANGE_HELP = "Another value of the recipe, such as --change lr=1e-4. Can be repeated."
MIRROR_HELP = "Never mirror images. Default: half of them, with left and right swapped in their phrases."
TRACKER_HELP = "Also log to a tracker that accelerate knows, such as tensorboard. Can be repeated."
PROBE_HELP = "Labelled images of things that are not trained, in one of the shapes of --data: are they still found?"
NO_PROBE_HELP = "Do not probe for forgetting before and after. --no-guard and --guard are the former names."
CACHE_HELP = "Keep the features of the frozen image encoder in this folder, and read them from there."
SAID = 6
"""Lines of a summary about forgetting."""


def train(
    recipe: Annotated[str, typer.Argument(help=RECIPE_HELP)] = "finetune",
    *,
    data: Annotated[Path | None, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP, show_default=False)] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=MODEL_HELP, show_default=False)] = None,
    dataset: Annotated[str | None, typer.Option(help=DATASET_HELP, show_default=False)] = None,
    split: Annotated[str, typer.Option(help="Part to train on, of sets that have parts.")] = "train",
    valid: Annotated[Path | None, typer.Option(help=VALID_HELP, show_default=False)] = None,
    valid_split: Annotated[str, typer.Option(help="Part to validate on.")] = "val",
    images: Annotated[Path | None, typer.Option(help=IMAGES_HELP, show_default=False)] = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help=EXHAUSTIVE_HELP)] = False,
    probe: Annotated[Path | None, typer.Option("--probe", "--guard", help=PROBE_HELP, show_default=False)] = None,
    probe_split: Annotated[str, typer.Option(help="Part of it, of sets that have parts.")] = "val",
    no_probe: Annotated[bool, typer.Option("--no-probe", "--no-guard", help=NO_PROBE_HELP)] = False,
    steps: Annotated[int | None, typer.Option(help="Updates of the weights.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option(help="Images of one update.", show_default=False)] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random draw.", show_default=False)] = None,
    precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16.", show_default=False)] = None,
    no_mirror: Annotated[bool, typer.Option("--no-mirror", help=MIRROR_HELP)] = False,
    change: Annotated[list[str] | None, typer.Option(help=CHANGE_HELP, show_default=False)] = None,
    feature_cache: Annotated[Path | None, typer.Option(help=CACHE_HELP, show_default=False)] = None,
    feature_cache_gb: Annotated[float, typer.Option(help="The most that it may hold, in GB.")] = 20.0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help=SKIP_HELP)] = False,
    device: Annotated[str, typer.Option(help="cpu, or auto: a GPU where there is one.")] = "auto",
    tracker: Annotated[list[str] | None, typer.Option(help=TRACKER_HELP, show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show the recipe's values and what they mean.")] = False,
    debug: Debug = False,
) -> None:
    """Train a model on images, masks and phrases; an interrupted run continues where it stopped.

    wordmask train finetune --data my/pairs.csv --out runs/mine

    wordmask train phrasecut-plus --data VGPhraseCut_v0 --model openai/clip-vit-base-patch16 --out runs/pc-plus
    """
    with errors_as_sentences(debug):
        given = {"steps": steps, "batch": batch, "lr": lr, "seed": seed, "precision": precision}
        chosen = recipe_of(recipe, {k: v for k, v in given.items() if v is not None}, change or [], no_mirror)
        if list_all:
            typer.echo(listing(chosen))
            return
        folder = require_folders(data, dataset, out)
        from wordmask.training.data import DataChoice
        from wordmask.training.run import train as run

        choice = DataChoice(data, dataset, split, valid, valid_split, images, exhaustive)
        announce_download(model)
        with progress(hidden=quiet) as watch:
            record = run(
                chosen, choice, folder, model=model, skip_bad=skip_bad, device=None if device == "auto" else device,
                trackers=tuple(tracker or ()), command=command_line(), watch=watch,
                probe=probe_of(probe, probe_split, off=no_probe), feature_cache=feature_cache,
                feature_cache_limit=bytes_of(feature_cache_gb),
            )  # fmt: skip
    if not quiet and _is_first():
        typer.echo(summary(record, folder))


def recipe_of(name: str, given: dict[str, Any], changes: list[str], no_mirror: bool) -> Recipe:
    """Return the recipe that the user asks for.

    Raises:
        DataError: If there is none of that name, or a change does not fit.
    """
    from wordmask.errors import DataError, quote, sentence
    from wordmask.training.recipe import with_changes
    from wordmask.training.recipes import find_recipe

    for word in changes:
        key, equals, value = word.partition("=")
        if not equals:
            raise DataError(sentence(f"--change {quote(word)}", "NAME=VALUE", "write for example --change lr=1e-4"))
        given[key.strip()] = value.strip()
    recipe = find_recipe(name)
    if "lr" in given and "final_lr" not in given:  # the end keeps its proportion to the start
        given["final_lr"] = float(given["lr"]) * recipe.schedule.final_lr / recipe.schedule.lr
    return with_changes(recipe, given | ({"mirror": 0.0} if no_mirror else {}))


def require_folders(data: Path | None, dataset: str | None, out: Path | None) -> Path:
    """Return the run's folder; a data set that is generated needs no other.

    Raises:
        DataError, OutputError: If one of them is not named, or the data are not there.
    """
    from wordmask.errors import DataError, OutputError, quote, sentence

    if data is None and dataset is None:
        remedy = "name a table, a COCO JSON file or a folder with --data"
        raise DataError(sentence("no --data", "images with masks and phrases", remedy))
    if out is None or not str(out).strip():
        raise OutputError(sentence("no --out", "a folder for the run", "name one, such as --out runs/mine"))
    if data is not None and dataset is None and not os.path.exists(data):  # told here, before torch is imported
        expected = "a CSV table, a COCO JSON file, or a folder with images, labels and classes.json"
        raise DataError(sentence(f"no folder or file {quote(data)}", expected, "correct the path of --data"))
    return out


def probe_of(data: Path | None, split: str, *, off: bool) -> ProbeChoice | None:
    """Return how forgetting is looked for.

    Raises:
        DataError: If it is named and switched off at once.
    """
    from wordmask.errors import DataError, sentence
    from wordmask.training.forgetting.probe import ProbeChoice

    if off and data is not None:
        raise DataError(sentence("--probe and --no-probe", "one of them", "leave one out"))
    return None if off else ProbeChoice(data, split)


def bytes_of(gigabytes: float) -> int:
    """Return a size in bytes.

    Raises:
        DataError: If it is no size.
    """
    from wordmask.errors import DataError, sentence

    if not 0 < gigabytes < 1e6:
        raise DataError(
            sentence(f"--feature-cache-gb {gigabytes:g}", "a size above 0", "write for example --feature-cache-gb 20")
        )
    return int(gigabytes * 2**30)


class _Bar:
    """A progress bar on standard error, with images per second and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        words = "{task.completed:.0f}/{task.total:.0f}  {task.fields[said]}"
        self._bar = Progress(
            TextColumn("Training"), BarColumn(), TextColumn(words), console=Console(stderr=True), transient=True
        )
        self._scores = ""

    def __enter__(self) -> Callable[[StepReport], None]:
        self._bar.start()
        self._task = self._bar.add_task("", total=None, said="reading the data")
        return self.advance

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, report: StepReport) -> None:
        """Show a step."""
        if report.scores:
            self._scores = "".join(f"  {name} {value:.3f}" for name, value in report.scores.items())
        loss = f"loss {sum(report.losses.values()):.4f}  " if report.losses else ""
        said = f"{loss}{report.images_per_second:.1f} images/s  {clock(report.seconds_left)} left{self._scores}"
        self._bar.update(self._task, total=report.steps, completed=report.step, said=said)


def progress(*, hidden: bool) -> AbstractContextManager[Callable[[StepReport], None] | None]:
    """Return a progress bar; one that shows nothing where nobody watches."""
    from contextlib import nullcontext

    from rich.console import Console

    if hidden or not Console(stderr=True).is_terminal or not _is_first():
        return nullcontext()
    return _Bar()


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def summary(record: dict[str, Any], folder: Path) -> str:
    """Return what came of a run, for people."""
    from wordmask.cli.printed import escaped

    data, best = record["data"], record["best"]
    lines = [f"Trained {record['steps']} steps on {data['images']} images of {data['name']}"]
    if "instances" in data:
        of = data["instances"]
        lines.append(f"Instances: {of['masks']} with masks, {of['boxes']} with boxes alone")
    if record["left_out"]:
        lines.append(f"Left out because of problems ({len(record['left_out'])}):")
        lines += [f"  {problem}" for problem in record["left_out"]]
    if "score" in best:
        lines.append(f"Best at step {best['step']}: IoU {best['score']:.3f} on validation images")
        if best["step"] == 0:
            lines.append("No step was better than the model that it started from: best is that model, unchanged")
    else:
        lines.append("Nothing was measured: there are no images for validation (--valid names some)")
    said = record.get("forgetting", {}).get("said", [])
    lines += said[:SAID]
    lines.append(f"Report: {folder / 'report.md'}")
    lines.append(f"Use it: wordmask segment photo.jpg --model {folder / 'best'} -p PHRASE")
    return "\n".join(escaped(line) for line in lines)


def listing(recipe: Recipe) -> str:
    """Return a recipe's values by group, one a line, and below each what it means."""
    from wordmask.training.recipe import GROUPS

    lines = [f"{'name':<20}{recipe.name}"]
    for group in GROUPS:
        settings = getattr(recipe, group)
        meanings = settings.meanings()
        lines += ["", f"{group}:"]
        for name, value in settings.to_json().items():
            lines.append(f"  {name:<18}{_plain(value)}".rstrip())
            lines += textwrap.wrap(
                meanings.get(name, "").replace("`", ""), 100, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return "\n".join([*lines, "", "Change a value with --change NAME=VALUE."])


def _plain(value: Any) -> str:
    """Return a value as --change reads it."""
    if not isinstance(value, list):
        return str(value)
    return ",".join(":".join(map(str, part)) if isinstance(part, list) else str(part) for part in value)


def command_line() -> str:
    """Return the command as it was typed."""
    import shlex
    import sys

    return shlex.join(["wordmask", *sys.argv[1:]])


def _is_first() -> bool:
    """Whether this is the only process, or the first of several."""
    return os.environ.get("RANK", "0") == "0"
