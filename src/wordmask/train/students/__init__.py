"""Models whose parts are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import TrainingError, quote, sentence
from wordmask.train.students.student import Answer, Student

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.train.recipes import Recipe

__all__ = ["Answer", "Student", "open_student"]


def open_student(model: Path, recipe: Recipe) -> Student:
    """Open the model in a local folder for training.

    Raises:
        CheckpointError: If the folder is damaged; ModelNotFoundError if files are missing.
        TrainingError: If the recipe does not fit this kind of model.
    """
    from wordmask.checkpoints import read_json

    kind = None if model.is_file() else read_json(model / "config.json").get("model_type")
    if kind == "wordmask-compact" and not recipe.fresh:
        from wordmask.train.students.compact import open_compact

        return open_compact(model, recipe)
    from wordmask.train.students.clipseg import TRAINABLE, open_clipseg
    from wordmask.train.students.fresh import FRESH_KINDS

    if model.is_file() or kind in (FRESH_KINDS if recipe.fresh else TRAINABLE):
        return open_clipseg(model, recipe)
    got = f"the model {quote(model)} ({kind}) for the recipe {recipe.name}"
    expected = "the folder of a CLIP, a CLIPSeg or a ViT" if recipe.fresh else "a CLIPSeg or a compact network"
    raise TrainingError(sentence(got, expected, "give another folder or hub id with --model"))
