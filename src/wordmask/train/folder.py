"""A run's folder: what it says about the run, and whose it is.

| in the folder | what it is |
|---|---|
| `run.json` | the recipe as it was used, the data and their fingerprint, versions, seed, result |
| `report.md` | what came of it, for people |
| `best/` | the best model by validation so far: `wordmask.load("RUN/best")` |
| `last/` | the model after the last step; like `best/` with `start_share` of the first weights, if the recipe says so |
| `progress.jsonl` | a line for every step |
| `measured/` | validation by phrase, at the start and of the best; what the model before answered to the guard |
| `checkpoints/` | what the same command goes on from |
| `bad-batch-*` | a batch that gave no number, if one did |
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import checksum
from wordmask.errors import TrainingError, quote, sentence
from wordmask.formats.files import write
from wordmask.train.recipes import usual_values
from wordmask.versions import versions

if TYPE_CHECKING:
    from accelerate import Accelerator

    from wordmask.contracts import Dataset
    from wordmask.train.checkpoints import Progress
    from wordmask.train.recipes import Recipe
    from wordmask.train.sources import DataChoice, Lessons
    from wordmask.train.students import Student

__all__ = ["MEASURED", "claim", "describe", "keep_models", "read_json", "text"]

MEASURED = "measured"
"""Folder of what is measured along the way."""

_PACKAGES = ("accelerate", "numpy", "opencv-python-headless", "pillow", "safetensors", "torch", "transformers")


def describe(
    recipe: Recipe, data: DataChoice, lessons: Lessons, student: Student, model: Any, command: str | None
) -> dict[str, Any]:
    """Return what run.json says of a run that has begun."""
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


def claim(folder: Path, record: dict[str, Any], accelerator: Accelerator) -> dict[str, Any] | None:
    """Write run.json into a new folder, or check that an interrupted run there is the same; return a finished one's.

    Raises:
        TrainingError: If the folder holds another run.
    """
    file = folder / "run.json"
    is_new = not file.is_file()
    accelerator.wait_for_everyone()
    if is_new:
        if accelerator.is_main_process:
            for name in ("checkpoints", MEASURED):
                shutil.rmtree(folder / name, ignore_errors=True)
            write(file, text(record))
        accelerator.wait_for_everyone()
        return None
    earlier = dict(json.loads(file.read_bytes()))
    earlier["recipe"] = usual_values() | earlier["recipe"]  # it may be older than some of a recipe's values
    fresh = json.loads(text(record))
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


def keep_models(folder: Path, student: Student, progress: Progress) -> dict[str, Any]:
    """Write the last model, and as the best one, too, where nothing was measured; return what is said of the best."""
    from wordmask.train.checkpoints import replace_folder

    with student.as_written():
        replace_folder(folder / "last", student.export)
        if progress.best >= 0:
            return {"step": progress.best_step, "score": progress.best}
        replace_folder(folder / "best", student.export)
    return {"step": progress.step}


def text(record: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON file."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Return what `text` gave; {} where there is no such file."""
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _commit() -> str | None:
    """The commit of a checkout that wordmask runs from."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
