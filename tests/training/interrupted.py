"""A training in a process of its own, for the tests that kill it or run it twice at once.

python -m tests.training.interrupted FOLDER OUT STEP DELAY: it kills itself DELAY seconds after STEP (-1: never).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from wordmask.training.data import DataChoice
from wordmask.training.loop import StepReport
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

STEPS = 12


def recipe(**changes: Any) -> Recipe:
    """Everything that is drawn at random is on."""
    small = {"steps": STEPS, "batch": 4, "accumulate": 2, "warm_up": 2, "size": 32, "dropout": 0.1}
    return with_changes(finetune(), {**small, "valid_every": 4, "save_every": 3, "parts": ("decoder",), **changes})


def train_small(folder: Path, out: Path, *, kill_after: int = -1, delay: float = 0.0, **changes: Any) -> dict[str, Any]:
    """Train the model in `folder/model` on the table in `folder/my`."""

    def watch(report: StepReport) -> None:
        if report.step == kill_after:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    torch.set_num_threads(1)
    data = DataChoice(folder / "my" / "pairs.csv")
    return train(recipe(**changes), data, out, model=folder / "model", device="cpu", watch=watch)


def train_small_in_two(folder: str, out: str) -> None:
    """One of two processes: no dropout, whose draws differ between processes."""
    train_small(Path(folder), Path(out), steps=20, dropout=0.0, accumulate=1)


if __name__ == "__main__":
    if sys.argv[3] == "two":
        from accelerate import debug_launcher

        debug_launcher(train_small_in_two, (sys.argv[1], sys.argv[2]), num_processes=2)
    else:
        train_small(Path(sys.argv[1]), Path(sys.argv[2]), kill_after=int(sys.argv[3]), delay=float(sys.argv[4]))
