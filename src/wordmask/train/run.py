"""A training from the user's words to the finished run folder; `folder` says what is in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.api import find_model
from wordmask.errors import MissingExtraError, TrainingError, WordmaskError, quote, sentence
from wordmask.formats.files import write
from wordmask.train.exam import GUARD, open_exam
from wordmask.train.folder import MEASURED, claim, describe, keep_models, read_json, text
from wordmask.train.guarding import forgotten, remember
from wordmask.train.lock import locked
from wordmask.train.recipes import with_changes
from wordmask.train.report import page, sentences
from wordmask.train.sources import open_lessons

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from accelerate import Accelerator

    from wordmask.train.exam import Answers, Exam, Guard
    from wordmask.train.forgetting import Forgetting
    from wordmask.train.loop import Moment
    from wordmask.train.recipes import Recipe
    from wordmask.train.sources import DataChoice
    from wordmask.train.students import Student

__all__ = ["STORE_LIMIT", "train"]

STORE_LIMIT = 20 << 30
"""Bytes that stored read-outs may take: 20 GiB."""


@dataclass(frozen=True)
class _Wish:
    """What the user asked for, see `train`."""

    recipe: Recipe
    data: DataChoice
    folder: Path
    model: Any
    skip_bad: bool
    trackers: tuple[str, ...]
    command: str | None
    watch: Callable[[Moment], None] | None
    guard: Guard | None
    store: Path
    store_limit: int


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
    guard: Guard | None = GUARD,
    store: Path | None = None,
    store_limit: int = STORE_LIMIT,
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
        guard: How forgetting is looked for; None = not at all. A decoder that starts from random weights has nothing
            to forget.
        store: Folder for stored read-outs of the frozen tower, which several runs may share; naming one switches
            them on. None: `store` in the run's folder, if the recipe wants them.
        store_limit: Bytes that they may take.

    Returns:
        What is in run.json.

    Raises:
        WordmaskError: If data, model or recipe are wrong, the folder holds another run or is in use, or numbers are
            none.
    """
    folder = Path(out)
    if store is not None:
        recipe = with_changes(recipe, {"readouts": "stored"})
    wish = _Wish(
        recipe, data, folder, model, skip_bad, trackers, command, watch, guard, store or folder / "store", store_limit
    )
    accelerator = _accelerator(recipe, device, trackers, folder)
    try:
        return _alone(accelerator, wish)
    finally:
        accelerator.end_training()
        _forget(accelerator)


def _alone(accelerator: Accelerator, wish: _Wish) -> dict[str, Any]:
    """Train while no other run uses the folder: one process holds it for all of a launch."""
    from contextlib import ExitStack

    from accelerate.utils import broadcast_object_list

    with ExitStack() as held:
        refused: list[Any] = [None]
        if accelerator.is_main_process:
            try:
                held.enter_context(locked(wish.folder))
            except WordmaskError as error:
                refused = [error]
        refusal = broadcast_object_list(refused)[0]
        if refusal is not None:
            raise refusal
        return _train(accelerator, wish)


def _train(accelerator: Accelerator, wish: _Wish) -> dict[str, Any]:
    from wordmask.train.students import open_student

    _check_machine(wish.recipe, accelerator)
    lessons = open_lessons(wish.data, wish.recipe, skip_bad=wish.skip_bad, scratch=wish.folder / "corrected")
    student = open_student(find_model(wish.model), wish.recipe)
    recipe = dataclasses.replace(wish.recipe, parts=student.parts, size=wish.recipe.size or max(student.size))
    _use_store(student, recipe, wish)
    exam, left_out = _exam(wish, lessons, recipe)
    lessons = dataclasses.replace(lessons, left_out=(*lessons.left_out, *left_out))
    record = describe(recipe, wish.data, lessons, student, wish.model, wish.command)
    done = claim(wish.folder, record, accelerator)
    if done is not None:
        return done
    accelerator.init_trackers("wordmask", config=_flat(recipe)) if wish.trackers else None
    return _learn(accelerator, wish, recipe, lessons, student, exam, record)


def _learn(
    accelerator: Accelerator, wish: _Wish, recipe: Recipe, lessons: Any, student: Student, exam: Exam | None,
    record: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    from accelerate.utils import set_seed

    from wordmask.train.loop import Loop
    from wordmask.train.views import Views

    before = None
    if exam is not None and accelerator.is_main_process:
        before = remember(exam, student, record["model"], wish.folder, accelerator.device)
    accelerator.wait_for_everyone()
    views = Views(
        lessons.train, lessons.usable, recipe, size=student.size, square=student.square, mean=student.mean,
        std=student.std,
    )  # fmt: skip
    set_seed(recipe.seed, device_specific=True)  # whatever was drawn up to here, or was not since it lay there already
    progress = Loop(accelerator, student, views, lessons, recipe, wish.folder, wish.watch).run()
    if accelerator.is_main_process:
        best = keep_models(wish.folder, student, progress)
        record |= {"state": "finished", "steps": progress.step, "pictures_seen": progress.pictures, "best": best}
        _conclude(wish.folder, record, exam, before, accelerator.device)
    accelerator.wait_for_everyone()
    return read_json(wish.folder / "run.json")


def _conclude(folder: Path, record: dict[str, Any], exam: Exam | None, before: Answers | None, device: Any) -> None:
    """Look for forgetting, and write the report and, last of all, that the run is finished."""
    forgetting: Forgetting | None = None
    if exam is not None and before is not None:
        forgetting = forgotten(exam, before, folder / "best", device)
        record["forgetting"] = {"said": sentences(forgetting), **forgetting.to_json()}
    start, best = (read_json(folder / MEASURED / f"{name}.json") for name in ("start", "best"))
    write(folder / "report.md", page(record, forgetting, start, best).encode())
    write(folder / "run.json", text(record))


def _exam(wish: _Wish, lessons: Any, recipe: Recipe) -> tuple[Exam | None, tuple[str, ...]]:
    if wish.guard is None or (recipe.fresh and wish.guard.data is None):
        return None, ()
    scratch = wish.folder / "corrected" / "guard"
    return open_exam(wish.guard, lessons, wish.data, recipe, skip_bad=wish.skip_bad, scratch=scratch)


def _use_store(student: Student, recipe: Recipe, wish: _Wish) -> None:
    if recipe.readouts == "stored":
        from wordmask.train.readouts import ReadoutStore

        _check_views(recipe)
        student.use_store(ReadoutStore(wish.store, limit=wish.store_limit))


def _check_views(recipe: Recipe) -> None:
    """Refuse to fill a disk with what no epoch will ask for again."""
    from wordmask.train.drawn import draws_phrases

    is_drawn = draws_phrases(recipe) or recipe.crop < 1 or recipe.mirror or recipe.colour
    if is_drawn and not recipe.variants:
        got = "stored read-outs of pictures that are cut, mirrored or coloured anew in every epoch"
        raise TrainingError(sentence(got, "views that come again", "add for example --change variants=4"))


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


def _flat(recipe: Recipe) -> dict[str, Any]:
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in recipe.to_json().items()}
