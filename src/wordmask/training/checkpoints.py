"""What a run goes on from: a folder that is there whole or not at all."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from wordmask.errors import TrainingError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accelerate import Accelerator

__all__ = ["Progress", "latest", "load", "replace_folder", "save"]

_COMPLETE = re.compile(r"step-\d{8}")


@dataclass
class Progress:
    """Where a run is. accelerate keeps it with the rest.

    Attributes:
        step: Updates done; with the seed, the position of the sampler.
        best: Highest validation score so far; below 0 before the first.
        best_step: When that was.
        images: Seen so far.
        skipped: Steps left out since a number was not finite.
    """

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    images: int = 0
    skipped: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the values."""
        return asdict(self)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Take the values over."""
        for name, value in values.items():
            setattr(self, name, value)


def latest(folder: Path) -> Path | None:
    """Return the newest checkpoint; None where there is none."""
    found = sorted(path for path in folder.glob("step-*") if _COMPLETE.fullmatch(path.name)) if folder.is_dir() else []
    return found[-1] if found else None


def save(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Write weights (safetensors), optimiser, schedule, progress and every process's random states; drop the older.

    They go to a folder beside, which then gets the checkpoint's name: a run that is killed leaves the old checkpoint
    or the new one.
    """
    target, part = folder / f"step-{step:08d}", folder / ".part"
    if target.is_dir():
        return
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _to_disk(part)
        os.replace(part, target)
        _to_disk(folder, only_itself=True)
        for path in folder.glob("step-*"):
            if path != target:
                shutil.rmtree(path, ignore_errors=True)
    accelerator.wait_for_everyone()


def load(accelerator: Accelerator, checkpoint: Path) -> None:
    """Bring everything back to where the checkpoint was written.

    Raises:
        TrainingError: If a file in it is damaged.
    """
    try:
        accelerator.load_state(str(checkpoint))
    except (SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError) as error:
        got = f"a damaged checkpoint {quote(checkpoint)} ({str(error).splitlines()[0] if str(error) else 'cut short'})"
        remedy = "delete its folder to start the run anew, or choose another --out"
        raise TrainingError(sentence(got, "the files that the run wrote", remedy)) from error


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Write a model's folder so that a reader finds the old weights or the new ones.

    Args:
        target: The folder. A first one appears whole; in a later one each file is replaced, the weights last.
        fill: Writes the files into the folder it is given.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(part)
    _to_disk(part)
    if not target.exists():
        os.replace(part, target)
        return
    for file in sorted(part.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        os.replace(file, target / file.name)
    part.rmdir()


def _to_disk(folder: Path, *, only_itself: bool = False) -> None:
    """Make sure that files outlast a loss of power."""
    for path in [folder] if only_itself else [*(file for file in folder.rglob("*") if file.is_file()), folder]:
        try:
            number = os.open(path, os.O_RDONLY)
        except OSError:  # folders cannot be opened everywhere
            continue
        try:
            os.fsync(number)
        finally:
            os.close(number)
