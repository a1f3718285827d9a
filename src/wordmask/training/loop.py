"""The training loop, for every method and recipe. Hugging Face accelerate handles processes, devices and precision."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader

from wordmask.errors import TrainingError, sentence
from wordmask.formats.files import write
from wordmask.methods.trainable import fingerprint_weights
from wordmask.training import checkpoints
from wordmask.training.averaging import StartAverage, WeightAverage
from wordmask.training.folder import MEASURED, text
from wordmask.training.optim import build_optimiser, set_lr
from wordmask.training.schedule import lr_scale
from wordmask.training.validation import Totals, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from accelerate import Accelerator

    from wordmask.batch import Batch
    from wordmask.contracts import Trainable
    from wordmask.training.data import TrainingData
    from wordmask.training.schedule import Schedule

__all__ = ["Loop", "StepReport"]

Losses = dict[str, torch.Tensor]


class StepReport(NamedTuple):
    """What a run reports after every step.

    Attributes:
        step, steps: Done, and in all.
        losses: By name, means over the batch.
        images_per_second: Since the run was started or resumed.
        seconds_left: Until the end, at that speed.
        scores: Of the validation after this step; {} where there was none.
    """

    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    seconds_left: float
    scores: dict[str, float]


class _Losses(nn.Module):
    """A model whose forward pass is its loss: what accelerate wraps for autocast and several processes."""

    def __init__(self, model: Trainable) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, step: int) -> Losses:
        return dict(self.model.loss(batch, step))


@dataclass
class Loop:
    """One run.

    Attributes:
        accelerator: Of this process.
        model: What is trained.
        data: What it is trained and validated on.
        schedule: How.
        folder: The run's.
        watch: Called after every step, in the main process.
    """

    accelerator: Accelerator
    model: Trainable
    data: TrainingData
    schedule: Schedule
    folder: Path
    watch: Callable[[StepReport], None] | None = None
    progress: checkpoints.Progress = field(default_factory=checkpoints.Progress)

    def run(self) -> checkpoints.Progress:
        """Train to the end, from the newest checkpoint where there is one.

        Raises:
            TrainingError: If a loss or gradient is not finite and the schedule says "stop", or a frozen part changed.
            DataError: If a file that was there before is missing or damaged now.
        """
        self._prepare()
        before = fingerprint_weights(self.model.frozen())
        resumed = self._resume()
        if not resumed:
            self._after_step({}, 0)
        started, first = time.monotonic(), self.progress.step
        for losses in self._steps():
            pace = (time.monotonic() - started) / (self.progress.step - first)
            self._after_step(losses, pace)
        if fingerprint_weights(self.model.frozen()) != before:
            got = "weights of a frozen part that changed"
            raise TrainingError(sentence(got, "the same bits as before", "report this as a bug"))
        return self.progress

    @contextmanager
    def final_weights(self) -> Iterator[None]:
        """Give the model the weights that are validated and written: averaged, and mixed with those of the start."""
        with self._average.applied(), self._start.applied():
            yield

    def write_models(self) -> dict[str, Any]:
        """Write the last model, and as the best one, too, where there was no validation.

        Returns:
            What run.json says of the best one.
        """
        with self.final_weights():
            checkpoints.replace_folder(self.folder / "last", self.model.export)
            if self.progress.best >= 0:
                return {"step": self.progress.best_step, "score": self.progress.best}
            checkpoints.replace_folder(self.folder / "best", self.model.export)
        return {"step": self.progress.step}

    # --- before the first step -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        schedule, accelerator = self.schedule, self.accelerator
        module = _Losses(self.model).to(accelerator.device)
        self._average = WeightAverage(self.model, schedule.ema)
        self._start = StartAverage(self.model, schedule.start_weight)
        optimiser = build_optimiser(self.model.parameter_groups(schedule), schedule)
        self._wrapped, self._optimiser = accelerator.prepare(module, optimiser)
        accelerator.register_for_checkpointing(self.progress, self._average)

    def _resume(self) -> bool:
        checkpoint = checkpoints.latest(self.folder / "checkpoints")
        if checkpoint is not None:
            checkpoints.load(self.accelerator, checkpoint)
        if self.accelerator.is_main_process:
            _cut_log(self.folder / "progress.jsonl", self.progress.step if checkpoint else -1)
        return checkpoint is not None

    def _loader(self) -> Any:
        loader: DataLoader[Any] = DataLoader(
            self.data.train,  # type: ignore[arg-type]
            batch_sampler=self.data.train.order(self.progress.step, self.schedule.steps),
            collate_fn=self.data.train.collate,
            num_workers=self.schedule.workers,
            generator=torch.Generator(),  # its own: the global one's state is the dropout's
            persistent_workers=False,
        )
        return self.accelerator.prepare(loader)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[dict[str, float]]:
        """Yield each update's losses, by name."""
        if self.progress.step >= self.schedule.steps:
            return  # accelerate 1.0.0 fails on a loader without batches
        self._wrapped.train()
        parts: list[tuple[Batch, Losses]] = []
        for batch in self._loader():
            with self.accelerator.accumulate(self._wrapped):
                losses = self._wrapped(batch, self.progress.step)
                self.accelerator.backward(torch.stack(list(losses.values())).sum())
                parts.append((batch, {name: loss.detach() for name, loss in losses.items()}))
                if self.accelerator.sync_gradients:
                    means = self._means(parts)
                    self._update(parts, means)
            if self.accelerator.sync_gradients:
                self.progress.step += 1
                self.progress.images += self.schedule.batch
                parts = []
                yield means
                self._wrapped.train()

    def _means(self, parts: list[tuple[Batch, Losses]]) -> dict[str, float]:
        """Return losses over all parts and processes; one that is not finite anywhere is so everywhere."""
        names = list(parts[0][1])
        sums = torch.stack([torch.stack([losses[name] for name in names]) for _, losses in parts]).mean(0)
        means = self.accelerator.reduce(sums, "mean")
        return dict(zip(names, means.tolist(), strict=True))

    def _update(self, parts: list[tuple[Batch, Losses]], means: dict[str, float]) -> None:
        """Clip the gradient and make the step, unless a number is not finite."""
        clipping = self.schedule.gradient_clipping or math.inf
        norm = float(self.accelerator.clip_grad_norm_(self._wrapped.parameters(), clipping))
        losses_fit = all(map(math.isfinite, means.values()))
        # a scaler of fp16 leaves out steps whose gradient overflows, and tries smaller factors
        fits = losses_fit and (math.isfinite(norm) or self.accelerator.scaler is not None)
        if fits:
            set_lr(self._optimiser, lr_scale(self.progress.step, self.schedule))
            self._optimiser.step()
            if not self._optimiser.step_was_skipped:
                self._average.update()
        elif self.schedule.nonfinite == "stop":
            raise self._not_finite(parts, "a gradient" if losses_fit else "a loss")
        self.progress.skipped += not fits
        self._optimiser.zero_grad()

    def _not_finite(self, parts: list[tuple[Batch, Losses]], what: str) -> TrainingError:
        """Write the batch into the run's folder and return the error that names it."""
        worst = [part for part in parts if not all(bool(loss.isfinite()) for loss in part[1].values())]
        saved = self._save_batch((worst or parts)[0][0])
        got = f"{what} that is not finite at step {self.progress.step + 1}"
        remedy = f"look at the batch in {saved}, or try a lower lr, gradient_clipping=1 or precision=no"
        return TrainingError(sentence(got, "finite numbers", remedy))

    def _save_batch(self, batch: Any) -> str:
        """Write a batch, a named tuple or a dataclass of tensors and lists of texts; return the file's path."""
        from safetensors.torch import save_file

        stem = f"bad-batch-{self.progress.step + 1}-{self.accelerator.process_index}"
        values: dict[str, Any] = getattr(batch, "_asdict", lambda: vars(batch))()
        tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, self.folder / f"{stem}.safetensors")
        texts = {name: value for name, value in values.items() if _is_text(value)}
        (self.folder / f"{stem}.json").write_text(json.dumps(texts, indent=2, ensure_ascii=False), encoding="utf-8")
        return str(self.folder / f"{stem}.safetensors")

    # --- between steps ---------------------------------------------------------------------------------------------

    def _after_step(self, losses: dict[str, float], pace: float) -> None:
        """Validate, log and save what is due. Doing it again after a kill gives the same files.

        Args:
            losses: Of the step, by name.
            pace: Seconds a step takes.
        """
        schedule, step = self.schedule, self.progress.step
        last = step == schedule.steps
        due = schedule.valid_every and (last or step % schedule.valid_every == 0)
        scores = self._validate() if due and self.data.validation is not None else {}
        if self.accelerator.is_main_process:
            speed = schedule.batch / pace if pace else 0.0
            self._report(StepReport(step, schedule.steps, losses, speed, pace * (schedule.steps - step), scores))
        if step and (last or step % schedule.save_every == 0):
            checkpoints.save(self.accelerator, self.folder / "checkpoints", step)

    def _validate(self) -> dict[str, float]:
        """Return the scores, and keep the model if it is the best so far."""
        assert self.data.validation is not None
        self._wrapped.eval()
        with self.final_weights():
            by_phrase = validate(self.accelerator, self.model.segmenter(), self.data.validation)
        scores = Totals.sum(by_phrase.values()).scores()
        values = {phrase: totals.values() for phrase, totals in by_phrase.items()}
        if self.progress.step == 0:
            self._keep_phrases("start", values)
        self._keep_best(scores, values)
        return scores

    def _keep_phrases(self, name: str, values: dict[str, tuple[float, ...]]) -> None:
        if self.accelerator.is_main_process:
            write(self.folder / MEASURED / f"{name}.json", text(values))

    def _keep_best(self, scores: dict[str, float], values: dict[str, tuple[float, ...]]) -> None:
        score = scores.get("iou", 1 - scores.get("false_positives", 1.0))
        if score <= self.progress.best:
            return
        self.progress.best, self.progress.best_step = score, self.progress.step
        self._keep_phrases("best", values)
        if self.accelerator.is_main_process:
            with self.final_weights():
                checkpoints.replace_folder(self.folder / "best", self.model.export)
        self.accelerator.wait_for_everyone()

    def _report(self, report: StepReport) -> None:
        """Write a step into progress.jsonl, log it to trackers and tell the watcher."""
        lr = self.schedule.lr * lr_scale(report.step, self.schedule)
        losses = {name: round(loss, 6) if math.isfinite(loss) else None for name, loss in report.losses.items()}
        line = {"step": report.step, **losses, "lr": lr}
        line |= {f"valid_{name}": score for name, score in report.scores.items()}
        with (self.folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        logged = {k: v for k, v in line.items() if k != "step" and v is not None}
        speed = report.images_per_second
        self.accelerator.log(logged | ({"images_per_second": speed} if speed else {}), step=report.step)
        if self.watch is not None:
            self.watch(report)


def _is_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _cut_log(path: Path, step: int) -> None:
    """Drop lines of steps after the checkpoint, which come again, and lines that a kill cut short."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    write(path, "".join(kept).encode())
