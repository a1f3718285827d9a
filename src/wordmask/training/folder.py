"""The folder of a run: its files, and which run it belongs to.

| in the folder | what it is |
|---|---|
| `run.json` | the recipe as it was used, the data and their fingerprint, versions, seed, result |
| `report.md` | what came of it, for people |
| `best/` | the best model by validation so far: `wordmask.load("RUN/best")` |
| `last/` | the model after the last step; like `best/` averaged (`ema`, `start_weight`), if the recipe says so |
| `progress.jsonl` | a line for every step |
| `measured/` | validation by phrase, at the start and of the best; answers to the forgetting probe before training |
| `checkpoints/` | what the same command continues from |
| `bad-batch-*` | a batch whose loss or gradient was not finite, if there was one |
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
from wordmask.methods.trainable import fingerprint_weights
from wordmask.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelerate import Accelerator

    from wordmask.contracts import Trainable
    from wordmask.training.data import DataChoice, Subset, TrainingData
    from wordmask.training.recipe import Recipe

__all__ = ["MEASURED", "claim", "describe", "read_json", "text"]

MEASURED = "measured"
"""Subfolder of scores and answers."""

_PACKAGES = ("accelerate", "numpy", "opencv-python-headless", "pillow", "safetensors", "torch", "transformers")


def describe(
    recipe: Recipe, choice: DataChoice, data: TrainingData, model: Trainable, start: Any, command: str | None
) -> dict[str, Any]:
    """Return what run.json says of a run that has begun."""
    train = data.train
    about = {"name": train.name, "split": train.split, "fingerprint": train.fingerprint, "images": train.images}
    instances = {} if data.counts is None else {"instances": data.counts._asdict()}
    return {
        "state": "running",
        "command": command,
        "recipe": recipe.to_json(),
        "seed": recipe.schedule.seed,
        "model": {
            "start": None if start is None else str(start),
            "parts": list(model.parts),
            "size": model.size,
            "trained": f"{checksum(model.state_dict().values()):08x}",
            "frozen": fingerprint_weights(model.frozen()),
            "parameters": sum(weight.numel() for weight in model.parameters()),
        },
        "data": {"path": None if choice.path is None else str(choice.path), **about, **instances},
        "left_out": list(data.left_out),
        "validation": None if data.validation is None else _described(data.validation),
        "versions": versions(*_PACKAGES),
        "commit": _commit(),
    }


def _described(samples: Subset) -> dict[str, Any]:
    dataset = samples.dataset
    about = {"name": dataset.name, "split": dataset.split, "fingerprint": dataset.fingerprint}
    return {**about, "images": len(samples.indices)}


_MAY_DIFFER = {"recipe": {"schedule.workers"}, "model": {"start"}, "data": {"path", "name"}, "validation": {"name"}}
"""Values that may differ between an interrupted run and its continuation."""


def claim(
    folder: Path, record: dict[str, Any], accelerator: Accelerator, *, defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:  # fmt: skip
    """Write run.json into a new folder, or check that an interrupted run there is the same; return a finished one's.

    Args:
        folder: The run's.
        record: What run.json says of this run.
        accelerator: Of this process.
        defaults: Values by group that a recipe has where nothing is said: the run there may be older than some fields.

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
    for group, values in defaults.items():
        earlier["recipe"][group] = {**values, **earlier["recipe"].get(group, {})}
    fresh = json.loads(text(record))
    for part, free in _MAY_DIFFER.items():
        old, new = (_without(kept.get(part) or {}, free) for kept in (earlier, fresh))
        if old != new:
            got = f"another run in {quote(folder)}: {_difference(old, new, part)}"
            raise TrainingError(sentence(got, "a new folder, or the same training", "choose another --out"))
    return earlier if earlier["state"] == "finished" else None


def _without(values: dict[str, Any], free: set[str], prefix: str = "") -> dict[str, Any]:
    """Return values without those named in `free`, where "a.b" stands in the group a."""
    kept = {name: value for name, value in values.items() if prefix + name not in free}
    return {k: _without(v, free, f"{prefix}{k}.") if isinstance(v, dict) else v for k, v in kept.items()}


def _difference(old: Any, new: Any, name: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in (*old, *new) if old.get(key) != new.get(key))
        return _difference(old.get(key), new.get(key), f"{name}.{key}")
    return f"its {name} is {quote(old, limit=40)}, not {quote(new, limit=40)}"


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
