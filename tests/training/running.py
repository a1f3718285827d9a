"""Training runs of three steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wordmask.training.data import DataChoice
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

TINY = {"steps": 3, "batch": 4, "warm_up": 0, "size": 32, "valid_every": 2, "save_every": 2, "workers": 0}
PLAIN = {"crop": 1.0, "colour": 0.0, "mirror": 0.0, "negatives": 0.0}


def tiny(**changes: Any) -> Recipe:
    return with_changes(finetune(), TINY | changes)


def run(table: Path, model: Path, recipe: Recipe, out: str = "run", **options: Any) -> dict[str, Any]:
    options = {"probe": None} | options  # it has tests of its own
    return train(recipe, DataChoice(table), table.parent.parent / out, model=model, device="cpu", **options)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
