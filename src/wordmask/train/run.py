"""A training from the user's words to the finished run folder.

| in the folder | what it is |
|---|---|
| `run.json` | the recipe as it was used, the data and their fingerprint, versions, seed, result |
| `best/` | the best model by validation so far: `wordmask.load("RUN/best")` |
| `last/` | the model after the last step |
| `progress.jsonl` | a line for every step |
| `checkpoints/` | what the same command goes on from |
| `bad-batch-*` | a batch that gave no number, if one did |
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.api import find_model
from wordmask.checkpoints import checksum
from wordmask.errors import MissingExtraError, TrainingError, quote, sentence
from wordmask.formats.files import write
from wordmask.train.sources import open_lessons

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from accelerate import Accelerator

    from wordmask.contracts import Dataset
    from wordmask.train.loop import Moment
    from wordmask.train.recipes import Recipe
    from wordmask.train.sources import DataChoice, Lessons
    from wordmask.train.students import Student
from wordmask.versions import versions

__all__ = ["train"]

_PACKAGES = ("accelerate", "numpy", "opencv-python-headless", "pillow", "safetensors", "torch", "transformers")


def train(
    recipe: Recipe,
    data: DataChoice,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    device: str | None = None,
    trackers: tuple[str, ...] = (),
    command: str | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> dict[str, Any]:
    """Train a model, or go on with a run that was interrupted.

    Args:
        recipe: How.
        data: On what.
        out: The run's folder. If it holds a run of the same recipe, data and model, that one goes on.
        model: What it starts from, as for `wordmask.load`; with a fresh decoder, where the towers come from.
        skip_bad: Whether samples that are wrong are left out.
        device: `"cpu"`, or None for what accelerate chooses.
        trackers: Names of trackers that accelerate knows, such as "tensorboard".
        command: The command line, for run.json.
        watch: Told after every step.

    Returns:
        What is in run.json.

    Raises:
        WordmaskError: If data, model or recipe are wrong, the folder holds another run, or numbers are none.
    """
    folder = Path(out)
    accelerator = _accelerator(recipe, device, trackers, folder)
    try:
        return _train(accelerator, recipe, data, folder, model, skip_bad, trackers, command, watch)
    finally:
        accelerator.end_training()
        _forget(accelerator)


def _train(
    accelerator: Accelerator, recipe: Recipe, data: DataChoice, folder: Path, model: Any, skip_bad: bool,
    trackers: tuple[str, ...], command: str | None, watch: Callable[[Moment], None] | None,
) -> dict[str, Any]:  # fmt: skip
    from wordmask.train.loop import Loop
    from wordmask.train.students import open_student
    from wordmask.train.views import Views

    _check_machine(recipe, accelerator)
    lessons = open_lessons(data, recipe, skip_bad=skip_bad, scratch=folder / "corrected")
    student = open_student(find_model(model), recipe)
    recipe = dataclasses.replace(recipe, parts=student.parts, size=recipe.size or max(student.size))
    record = _record(recipe, data, lessons, student, model, command)
    done = _claim(folder, record, accelerator)
    if done is not None:
        return done
    accelerator.init_trackers("wordmask", config=_flat(recipe)) if trackers else None
    views = Views(
        lessons.train, lessons.usable, recipe, size=student.size, square=student.square, mean=student.mean,
        std=student.std,
    )  # fmt: skip
    progress = Loop(accelerator, student, views, lessons, recipe, folder, watch).run()
    if accelerator.is_main_process:
        _finish(folder, student, record, progress)
    accelerator.wait_for_everyone()
    return dict(json.loads((folder / "run.json").read_bytes()))


def _accelerator(recipe: Recipe, device: str | None, trackers: tuple[str, ...], folder: Path) -> Accelerator:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, set_seed
    except ImportError as error:
        remedy = "run `pip install wordmask[train]`"
        raise MissingExtraError(sentence("a training", "the package accelerate", remedy)) from error
    _check_trackers(trackers)
    try:
        accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision=recipe.precision,
            gradient_accumulation_steps=recipe.accumulate,
            dataloader_config=DataLoaderConfiguration(split_batches=True),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=not recipe.presence)],
            log_with=list(trackers) or None,
            project_dir=str(folder),
        )
    except ValueError as error:
        got = f"precision={recipe.precision} on this machine ({error})"
        raise TrainingError(sentence(got, "one that it computes", "write precision=no or bf16")) from error
    set_seed(recipe.seed, device_specific=True)
    return accelerator


def _forget(accelerator: Accelerator) -> None:
    """Let the next run in this process choose its own precision; accelerate keeps one state for a process."""
    from accelerate.state import AcceleratorState, GradientState

    accelerator.free_memory()
    AcceleratorState._reset_state()
    GradientState._reset_state()


def _check_trackers(trackers: tuple[str, ...]) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    ready = [str(getattr(kind, "value", kind)) for kind in get_available_trackers()]
    for name in trackers:
        if name not in LOGGER_TYPE_TO_CLASS:
            expected = f"one of {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}"
            raise TrainingError(sentence(f"the tracker {quote(name)}", expected, "choose one of these"))
        if name not in ready:
            remedy = f"run `pip install {name}`"
            raise MissingExtraError(sentence(f"the tracker {quote(name)}", "its package", remedy))


def _check_machine(recipe: Recipe, accelerator: Accelerator) -> None:
    if recipe.precision == "fp16" and accelerator.device.type == "cpu":  # accelerate would compute in float32
        got = "precision=fp16 on a CPU"
        raise TrainingError(sentence(got, "one that it computes in", "write --precision no, or bf16"))
    part = recipe.batch // recipe.accumulate
    if part % accelerator.num_processes:
        got = f"parts of {part} pictures for {accelerator.num_processes} processes"
        raise TrainingError(sentence(got, "the same number for each", "change batch or accumulate"))


# --- the run's folder ----------------------------------------------------------------------------------------------


def _record(
    recipe: Recipe, data: DataChoice, lessons: Lessons, student: Student, model: Any, command: str | None
) -> dict[str, Any]:
    return {
        "state": "running",
        "command": command,
        "recipe": recipe.to_json(),
        "seed": recipe.seed,
        "model": {
            "start": None if model is None else str(model),
            "trained": f"{checksum(student.state_dict().values()):08x}",
            "frozen": student.fingerprint_frozen(),
            "parameters": sum(weight.numel() for weight in student.parameters()),
        },
        "data": {"path": str(data.path), **_described(lessons.train, lessons.usable)},
        "left_out": list(lessons.left_out),
        "validation": None if lessons.valid is None else _described(lessons.valid, lessons.judged),
        "versions": versions(*_PACKAGES),
        "commit": _commit(),
    }


def _described(dataset: Dataset, indices: tuple[int, ...]) -> dict[str, Any]:
    parts = {"name": dataset.name, "split": dataset.split, "fingerprint": dataset.fingerprint}
    return {**parts, "pictures": len(indices)}


_MAY_DIFFER = {"recipe": {"workers"}, "model": {"start"}, "data": {"path", "name"}, "validation": {"name"}}
"""What two parts of one run have in common, but for these of their values."""


def _claim(folder: Path, record: dict[str, Any], accelerator: Accelerator) -> dict[str, Any] | None:
    """Write run.json into a new folder, or check that an interrupted run there is the same; return a finished one's.

    Raises:
        TrainingError: If the folder holds another run.
    """
    file = folder / "run.json"
    is_new = not file.is_file()
    accelerator.wait_for_everyone()
    if is_new:
        if accelerator.is_main_process:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            write(file, _text(record))
        accelerator.wait_for_everyone()
        return None
    earlier = dict(json.loads(file.read_bytes()))
    fresh = json.loads(_text(record))
    for part, free in _MAY_DIFFER.items():
        old, new = ({k: v for k, v in (kept.get(part) or {}).items() if k not in free} for kept in (earlier, fresh))
        if old != new:
            got = f"another run in {quote(folder)}: {_difference(old, new, part)}"
            raise TrainingError(sentence(got, "a new folder, or the same training", "choose another --out"))
    return earlier if earlier["state"] == "finished" else None


def _difference(old: Any, new: Any, name: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in (*old, *new) if old.get(key) != new.get(key))
        return _difference(old.get(key), new.get(key), f"{name}.{key}")
    return f"its {name} is {quote(old, limit=40)}, not {quote(new, limit=40)}"


def _finish(folder: Path, student: Student, record: dict[str, Any], progress: Any) -> None:
    from wordmask.train.checkpoints import replace_folder

    replace_folder(folder / "last", student.export)
    measured = progress.best >= 0
    if not measured:
        replace_folder(folder / "best", student.export)
    best = {"step": progress.best_step, "score": progress.best} if measured else {"step": progress.step}
    record |= {"state": "finished", "steps": progress.step, "pictures_seen": progress.pictures, "best": best}
    write(folder / "run.json", _text(record))


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def _flat(recipe: Recipe) -> dict[str, Any]:
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in recipe.to_json().items()}


def _commit() -> str | None:
    """The commit of a checkout that wordmask runs from."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
