"""Train a model: from the user's choices to the finished folder of the run; `folder` says what is in it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.api import find_model
from wordmask.components.everyday_words import EVERYDAY_NOUNS
from wordmask.device import choose_device
from wordmask.errors import (
    DeviceError,
    MissingExtraError,
    TrainingError,
    WordmaskError,
    installing,
    quote,
    sentence,
)
from wordmask.formats.files import write
from wordmask.methods.trainable import DenseTrainable
from wordmask.training.data import DataChoice
from wordmask.training.disk import full_disk_as_sentence
from wordmask.training.folder import MEASURED, claim, describe, read_json, text
from wordmask.training.forgetting.probe import PROBE, open_probe
from wordmask.training.forgetting.report import sentences
from wordmask.training.forgetting.run import ask_after, ask_before
from wordmask.training.forgetting.vocabulary import unmentioned
from wordmask.training.lock import locked
from wordmask.training.recipes import find_recipe
from wordmask.training.report import page

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import torch
    from accelerate import Accelerator

    from wordmask.contracts import Trainable
    from wordmask.training.data import TrainingData
    from wordmask.training.forgetting.comparison import Forgetting
    from wordmask.training.forgetting.probe import Answers, Probe, ProbeChoice
    from wordmask.training.loop import StepReport
    from wordmask.training.recipe import Recipe
    from wordmask.training.schedule import Schedule

__all__ = ["CACHE_LIMIT", "train"]

CACHE_LIMIT = 20 << 30
"""Bytes that a feature cache may take: 20 GiB."""


@dataclass(frozen=True)
class _Job:
    """What the user asked for, see `train`."""

    recipe: Recipe
    data: DataChoice
    folder: Path
    model: Any
    skip_bad: bool
    trackers: tuple[str, ...]
    command: str | None
    watch: Callable[[StepReport], None] | None
    probe: ProbeChoice | None
    cache: Path | None
    cache_limit: int


def train(
    recipe: Recipe | str,
    data: DataChoice | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    device: str | None = None,
    trackers: tuple[str, ...] = (),
    command: str | None = None,
    watch: Callable[[StepReport], None] | None = None,
    probe: ProbeChoice | None = PROBE,
    feature_cache: Path | None = None,
    feature_cache_limit: int = CACHE_LIMIT,
) -> dict[str, Any]:
    """Train a model, or continue a run that was interrupted.

    Args:
        recipe: A complete configuration, or the name of one of `training.recipes.RECIPES`, such as `"finetune"`.
        data: What is trained on.
        out: The run's folder. If it holds a run of the same recipe, data and model, that one is continued.
        model: What it starts from, as for `wordmask.load`; with a fresh decoder, where the towers come from.
        skip_bad: Whether samples that are wrong are left out; otherwise they are an error.
        device: `"cpu"`, the device that accelerate chooses, such as `"cuda"`, or None / `"auto"` for that.
        trackers: Names of trackers that accelerate knows, such as "tensorboard".
        command: The command line, for run.json.
        watch: Called after every step.
        probe: How forgetting is looked for; None = not at all. A model that starts from random weights has nothing to
            forget.
        feature_cache: Folder in which features of the frozen image encoder are kept, which several runs may share;
            None = no cache.
        feature_cache_limit: Bytes that they may take.

    Returns:
        What is in run.json.

    Raises:
        WordmaskError: If data, model, device or recipe are wrong, the folder holds another run or is in use, the disk
            is full, or a loss is not finite.
    """
    job = _Job(
        find_recipe(recipe) if isinstance(recipe, str) else recipe,
        data if isinstance(data, DataChoice) else DataChoice(Path(data)),
        Path(out), model, skip_bad, trackers, command, watch, probe, feature_cache, feature_cache_limit,
    )  # fmt: skip
    accelerator = _accelerator(job.recipe.schedule, device, trackers, job.folder)
    try:
        return _alone(accelerator, job)
    finally:
        accelerator.end_training()
        _reset(accelerator)


def _alone(accelerator: Accelerator, job: _Job) -> dict[str, Any]:
    """Train while no other run uses the folder: one process holds it for all of a launch."""
    from accelerate.utils import broadcast_object_list

    with ExitStack() as held:
        refused: list[Any] = [None]
        if accelerator.is_main_process:
            try:
                held.enter_context(locked(job.folder))
            except WordmaskError as error:
                refused = [error]
        refusal = broadcast_object_list(refused)[0]
        if refusal is not None:
            raise refusal
        with full_disk_as_sentence(job.folder):
            return _train(accelerator, job)


def _train(accelerator: Accelerator, job: _Job) -> dict[str, Any]:
    """Open model and data, and train unless the folder holds the finished run."""
    recipe, schedule = job.recipe, job.recipe.schedule
    _check_recipe(recipe)
    _check_machine(schedule, accelerator)
    model = recipe.method.open(None if job.model is None else find_model(job.model), schedule)
    data = recipe.data.open(job.data, model, schedule, skip_bad=job.skip_bad, scratch=job.folder / "data")
    _use_cache(model, job)
    _keep_answers(model, data)
    probe, left_out = _probe(job, data)
    data = replace(data, left_out=(*data.left_out, *left_out))
    record = describe(recipe, job.data, data, model, job.model, job.command)
    done = claim(job.folder, record, accelerator, defaults=recipe.defaults())
    if done is not None:
        return done
    accelerator.init_trackers("wordmask", config=_tracked(recipe)) if job.trackers else None
    return _learn(accelerator, job, data, model, probe, record)


def _learn(
    accelerator: Accelerator, job: _Job, data: TrainingData, model: Trainable, probe: Probe | None,
    record: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    from accelerate.utils import set_seed

    from wordmask.training.loop import Loop

    model.to(accelerator.device)
    before = None
    if probe is not None and accelerator.is_main_process:
        before = ask_before(probe, model, record["model"], job.folder, accelerator.device)
    accelerator.wait_for_everyone()
    set_seed(job.recipe.schedule.seed, device_specific=True)  # whatever was drawn up to here
    loop = Loop(accelerator, model, data, job.recipe.schedule, job.folder, job.watch)
    progress = loop.run()
    if accelerator.is_main_process:
        best = loop.write_models()
        steps = {"steps": progress.step, "skipped": progress.skipped, "images_seen": progress.images}
        record |= {"state": "finished", **steps, "best": best}
        _conclude(job.folder, record, probe, before, accelerator.device)
    accelerator.wait_for_everyone()
    return read_json(job.folder / "run.json")


def _conclude(folder: Path, record: dict[str, Any], probe: Probe | None, before: Answers | None, device: Any) -> None:
    """Look for forgetting, and write the report and, last of all, that the run is finished."""
    forgetting: Forgetting | None = None
    if probe is not None and before is not None:
        forgetting = ask_after(probe, before, folder / "best", device)
        record["forgetting"] = {"said": sentences(forgetting), **forgetting.to_json()}
    start, best = (read_json(folder / MEASURED / f"{name}.json") for name in ("start", "best"))
    write(folder / "report.md", page(record, forgetting, start, best).encode())
    write(folder / "run.json", text(record))


def _probe(job: _Job, data: TrainingData) -> tuple[Probe | None, tuple[str, ...]]:
    pretrained = job.recipe.method.pretrained
    if job.probe is None or (not pretrained and job.probe.data is None):
        return None, ()
    return open_probe(job.probe, data, job.data, pretrained=pretrained, skip_bad=job.skip_bad)


def _keep_answers(model: Any, data: TrainingData) -> None:
    """Make the model as it is now the teacher of a run that distils: see `methods.trainable.DenseTrainable`."""
    if isinstance(model, DenseTrainable):
        trained = set(data.train.phrases())
        model.distil_on(unmentioned(EVERYDAY_NOUNS, trained), trained=trained)


def _use_cache(model: Any, job: _Job) -> None:
    """Put a feature cache before the model's frozen encoder.

    Raises:
        TrainingError: If the recipe never asks for the same features again, or the model has no such encoder.
    """
    if job.cache is None:
        return
    from wordmask.components.feature_cache import FeatureCache

    if not job.recipe.data.repeats:
        got = "a feature cache for images that are augmented anew in every epoch"
        raise TrainingError(sentence(got, "images that come again", "add for example --change variants=4"))
    model.use_cache(FeatureCache(job.cache, limit=job.cache_limit, examples=True))


def _check_recipe(recipe: Recipe) -> None:
    if recipe.schedule.start_weight and not recipe.method.pretrained:
        got = f"start_weight={recipe.schedule.start_weight:g} for a model that starts from random weights"
        raise TrainingError(sentence(got, "start_weight=0", "leave it out: there is nothing to keep"))


def _tracked(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe's values as trackers take them."""
    return {name: str(value) if isinstance(value, list) else value for name, value in recipe.flat().items()}


def _accelerator(schedule: Schedule, device: str | None, trackers: tuple[str, ...], folder: Path) -> Accelerator:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, set_seed
    except ImportError as error:
        remedy = installing("train")
        raise MissingExtraError(sentence("a training", "the package accelerate", remedy)) from error
    _check_trackers(trackers)
    wanted = None if device in (None, "auto") else choose_device(device)
    try:
        accelerator = Accelerator(
            cpu=wanted is not None and wanted.type == "cpu",
            mixed_precision=schedule.precision,
            gradient_accumulation_steps=schedule.accumulate,
            dataloader_config=DataLoaderConfiguration(split_batches=True),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
            log_with=list(trackers) or None,
            project_dir=str(folder),
        )
    except ValueError as error:
        got = f"precision={schedule.precision} on this machine ({error})"
        raise TrainingError(sentence(got, "one that it computes", "write precision=no or bf16")) from error
    _check_device(wanted, accelerator)
    set_seed(schedule.seed, device_specific=True)
    return accelerator


def _check_device(wanted: torch.device | None, accelerator: Accelerator) -> None:
    """Refuse a device other than that on which accelerate runs.

    Raises:
        DeviceError: If it is another one.
    """
    runs_on = accelerator.device
    if wanted is None or (wanted.type == runs_on.type and wanted.index in (None, runs_on.index or 0)):
        return
    _reset(accelerator)
    remedy = "leave out --device; CUDA_VISIBLE_DEVICES chooses among several GPUs"
    raise DeviceError(
        sentence(f"device {quote(str(wanted))} for a training", f"{quote(str(runs_on))} or 'cpu'", remedy)
    )


def _reset(accelerator: Accelerator) -> None:
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


def _check_machine(schedule: Schedule, accelerator: Accelerator) -> None:
    if schedule.precision == "fp16" and accelerator.device.type == "cpu":  # accelerate would compute in float32
        got = "precision=fp16 on a CPU"
        raise TrainingError(sentence(got, "one that it computes in", "write --precision no, or bf16"))
    part = schedule.batch // schedule.accumulate
    if part % accelerator.num_processes:
        got = f"parts of {part} images for {accelerator.num_processes} processes"
        raise TrainingError(sentence(got, "the same number for each", "change batch or accumulate"))
