"""The loop: one for every recipe. Hugging Face accelerate brings processes, devices and precision together."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from wordmask.errors import TrainingError, sentence
from wordmask.formats.files import write
from wordmask.train import checkpoints
from wordmask.train.folder import MEASURED, text
from wordmask.train.objective import objective
from wordmask.train.order import Order
from wordmask.train.schedule import rate_at
from wordmask.train.validation import Answered, by_phrase, judge, total
from wordmask.train.views import Batch, Collate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accelerate import Accelerator

    from wordmask.train.recipes import Recipe
    from wordmask.train.sources import Lessons
    from wordmask.train.students import Student
    from wordmask.train.views import Views

__all__ = ["Loop", "Moment"]

Phrases = dict[str, tuple[float, ...]]
"""Values of a `Tally` for each phrase."""


class Moment(NamedTuple):
    """What whoever watches a run is told after every step.

    Attributes:
        step, steps: Done, and in all.
        losses: By name, means over the batch.
        speed: Pictures per second since the run was started or taken up again.
        left: Seconds to go at that speed.
        scores: Of the validation after this step; {} where there was none.
    """

    step: int
    steps: int
    losses: dict[str, float]
    speed: float
    left: float
    scores: dict[str, float]


@dataclass
class Loop:
    """One run.

    Attributes:
        accelerator: Of this process.
        student: What is trained.
        views: What it sees.
        lessons: What it is measured on.
        recipe: How.
        folder: The run's.
        watch: Told after every step, in the main process.
    """

    accelerator: Accelerator
    student: Student
    views: Views
    lessons: Lessons
    recipe: Recipe
    folder: Path
    watch: Callable[[Moment], None] | None = None
    progress: checkpoints.Progress = field(default_factory=checkpoints.Progress)

    def run(self) -> checkpoints.Progress:
        """Train to the end, from the newest checkpoint where there is one.

        Raises:
            TrainingError: If a loss or gradient is no number, or a frozen part changed.
            DataError: If a file that was there before is missing or damaged now.
        """
        self._prepare()
        before = self.student.fingerprint_frozen()
        resumed = self._resume()
        if not resumed:
            self._after_step({}, 0)
        started, first = time.monotonic(), self.progress.step
        for losses in self._steps():
            pace = (time.monotonic() - started) / (self.progress.step - first)
            self._after_step(losses, pace)
        if self.student.fingerprint_frozen() != before:
            raise TrainingError(
                sentence("weights of a frozen part that changed", "the same bits as before", "report this: it is a bug")
            )
        return self.progress

    # --- before ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        recipe, accelerator = self.recipe, self.accelerator
        self.student.place(accelerator.device)
        weights = [weight for weight in self.student.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(weights, lr=1.0, weight_decay=recipe.decay)
        schedule = LambdaLR(optimiser, lambda step: rate_at(step, recipe))  # of a rate of 1
        prepared = accelerator.prepare(self.student, optimiser, schedule)
        self._wrapped, self._optimiser, self._schedule = prepared
        accelerator.register_for_checkpointing(self.progress)

    def _resume(self) -> bool:
        checkpoint = checkpoints.latest(self.folder / "checkpoints")
        if checkpoint is not None:
            checkpoints.load(self.accelerator, checkpoint)
        if self.accelerator.is_main_process:
            _cut_log(self.folder / "progress.jsonl", self.progress.step if checkpoint else -1)
        return checkpoint is not None

    def _loader(self) -> Any:
        recipe = self.recipe
        part = recipe.batch // recipe.accumulate
        first, last = (step * recipe.accumulate for step in (self.progress.step, recipe.steps))
        order = Order(len(self.views), part, first, last, seed=recipe.seed, shuffle=recipe.shuffle)
        loader = DataLoader(
            self.views,
            batch_sampler=order,
            collate_fn=Collate(self.student.mean, self.student.std),
            num_workers=recipe.workers,
            generator=torch.Generator(),  # its own: the global one's state is the dropout's
            persistent_workers=False,
        )
        return self.accelerator.prepare(loader)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _steps(self) -> Any:
        """Yield each update's losses, by name."""
        self._wrapped.train()
        parts: list[tuple[Batch, dict[str, torch.Tensor]]] = []
        for batch in self._loader():
            with self.accelerator.accumulate(self._wrapped):
                losses = objective(self._wrapped(batch), batch, self.recipe)
                self.accelerator.backward(torch.stack(list(losses.values())).sum())
                parts.append((batch, {name: loss.detach() for name, loss in losses.items()}))
                if self.accelerator.sync_gradients:
                    means = self._means(parts)
                    self._check(parts, means)
                self._optimiser.step()
                self._schedule.step()
                self._optimiser.zero_grad()
            if self.accelerator.sync_gradients:
                self.progress.step += 1
                self.progress.pictures += self.recipe.batch
                parts = []
                yield means
                self._wrapped.train()

    def _means(self, parts: list[tuple[Batch, dict[str, torch.Tensor]]]) -> dict[str, float]:
        """Losses over all parts and processes; one that is no number anywhere is none everywhere."""
        names = list(parts[0][1])
        sums = torch.stack([torch.stack([losses[name] for name in names]) for _, losses in parts]).mean(0)
        means = self.accelerator.reduce(sums, "mean")
        return dict(zip(names, means.tolist(), strict=True))

    def _check(self, parts: list[tuple[Batch, dict[str, torch.Tensor]]], means: dict[str, float]) -> None:
        """Clip the gradient; stop where it, or a loss, is no number.

        Raises:
            TrainingError: The batch is in the run's folder.
        """
        finite = all(map(math.isfinite, means.values()))
        norm = float(self.accelerator.clip_grad_norm_(self._wrapped.parameters(), self.recipe.clip or math.inf))
        if finite and (math.isfinite(norm) or self.accelerator.scaler is not None):
            return  # a scaler leaves out steps whose gradient overflows, and tries smaller factors
        worst = [part for part in parts if not all(bool(loss.isfinite()) for loss in part[1].values())]
        saved = self._save_batch((worst or parts)[0][0])
        what = "a loss" if not finite else "a gradient"
        got = f"{what} that is no number at step {self.progress.step + 1}"
        remedy = f"look at the batch in {saved}, or try a lower rate, clip=1 or precision=no"
        raise TrainingError(sentence(got, "finite numbers", remedy))

    def _save_batch(self, batch: Batch) -> str:
        from safetensors.torch import save_file

        stem = f"bad-batch-{self.progress.step + 1}-{self.accelerator.process_index}"
        tensors = {name: value for name, value in batch._asdict().items() if isinstance(value, torch.Tensor)}
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, self.folder / f"{stem}.safetensors")
        words = {"keys": batch.keys, "phrases": batch.phrases}
        (self.folder / f"{stem}.json").write_text(json.dumps(words, indent=2, ensure_ascii=False), encoding="utf-8")
        return str(self.folder / f"{stem}.safetensors")

    # --- between steps ---------------------------------------------------------------------------------------------

    def _after_step(self, losses: dict[str, float], pace: float) -> None:
        """Measure, write down and keep what is due. Doing it again after a kill gives the same files."""
        recipe, step = self.recipe, self.progress.step
        last = step == recipe.steps
        due = recipe.valid_every and (last or step % recipe.valid_every == 0)
        scores, phrases = self._validate() if due and self.lessons.valid is not None else ({}, {})
        if scores:
            if step == 0:
                self._keep_phrases("start", phrases)
            self._keep_best(scores, phrases)
        if self.accelerator.is_main_process:
            speed = recipe.batch / pace if pace else 0.0
            moment = Moment(step, recipe.steps, losses, speed, pace * (recipe.steps - step), scores)
            self._write_down(moment)
        if step and (last or step % recipe.save_every == 0):
            checkpoints.save(self.accelerator, self.folder / "checkpoints", step)

    def _validate(self) -> tuple[dict[str, float], Phrases]:
        """Return the scores, and the sums of each phrase."""
        from accelerate.utils import gather_object

        valid, judged = self.lessons.valid, self.lessons.judged
        assert valid is not None
        self._wrapped.eval()
        mine = judged[self.accelerator.process_index :: self.accelerator.num_processes]
        with self.student.as_written():
            answers = list(judge(self.student.segmenter(), valid, mine))
        sums = total(answers)
        values = torch.tensor(sums.values(), dtype=torch.float64, device=self.accelerator.device)
        iou, there, alarms, absent = self.accelerator.reduce(values, "sum").tolist()
        everyone = (Answered(*answer) for answer in gather_object(answers))
        phrases = {phrase: one.values() for phrase, one in by_phrase(everyone).items()}
        return type(sums)(iou, int(there), int(alarms), int(absent)).scores(), phrases

    def _keep_phrases(self, name: str, phrases: Phrases) -> None:
        if self.accelerator.is_main_process:
            write(self.folder / MEASURED / f"{name}.json", text(phrases))

    def _keep_best(self, scores: dict[str, float], phrases: Phrases) -> None:
        score = scores.get("iou", 1 - scores.get("false_alarms", 1.0))
        if score <= self.progress.best:
            return
        self.progress.best, self.progress.best_step = score, self.progress.step
        self._keep_phrases("best", phrases)
        if self.accelerator.is_main_process:
            with self.student.as_written():
                checkpoints.replace_folder(self.folder / "best", self.student.export)
        self.accelerator.wait_for_everyone()

    def _write_down(self, moment: Moment) -> None:
        line = {"step": moment.step, **{k: round(v, 6) for k, v in moment.losses.items()}}
        line |= {"rate": rate_at(moment.step, self.recipe), **{f"valid_{k}": v for k, v in moment.scores.items()}}
        with (self.folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = {k: v for k, v in line.items() if k != "step"}
        self.accelerator.log(shown | ({"pictures_per_second": moment.speed} if moment.speed else {}), step=moment.step)
        if self.watch is not None:
            self.watch(moment)


def _cut_log(path: Path, step: int) -> None:
    """Drop what was written down after the checkpoint: it comes again. A line that a kill cut short goes, too."""
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
