"""The data of a training: a set by name, or your own pictures in one of three shapes.

| what `--data` names | how it is read |
|---|---|
| `table.csv`, or a folder with one | lines of image, mask, phrase: `data.csv_table` |
| `annotations.json`, or a folder with `instances.json` or `annotations.json` | COCO's instances: `data.coco_json` |
| a folder with `images`, `labels` and `classes.json` | label maps: `data.label_maps` |
| a folder with `splits.json` beside them | its parts: `data.folder` |
| a folder, and a set's name | `data.registry` |

The recipes of PhraseCut take all of these, too, and PhraseCut's own folder without a name: see `train.drawn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data import registry as data
from wordmask.data.problems import problems_of
from wordmask.data.reading import show
from wordmask.data.registry import splits_of as split_names
from wordmask.data.sampling.phrase_samples import Listing
from wordmask.data.sets.phrasecut import PhraseCut
from wordmask.errors import DataError, sentence
from wordmask.train.drawn import draws_phrases, is_phrasecut, phrasecut_draws, sample_draws, without_classes
from wordmask.train.inspection import inspect, require_sound

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Dataset
    from wordmask.train.recipes import Recipe

__all__ = ["DataChoice", "Lessons", "open_data", "open_lessons"]

SPOT_CHECKS = 100
"""Samples of PhraseCut that are read before a training."""
FEWEST_HELD_OUT = 10
"""Pictures from which on some are kept for validation."""


@dataclass(frozen=True)
class DataChoice:
    """What the user said about the data.

    Attributes:
        path: See the table above.
        dataset: Name of a set in `data.registry.NAMED_SETS`; None = look at the files.
        split: Part that is trained on, of sets that have parts.
        valid: Data for validation, in one of the same shapes; None = the set's own part, or some that are held out.
        valid_split: Part that is validated on.
        images: Folder that COCO's file names start from; None = `images` beside the file, or the file's folder.
        exhaustive: Whether every thing that has a name is marked in every picture: the other names are then known to
            be absent.
    """

    path: Path
    dataset: str | None = None
    split: str = "train"
    valid: Path | None = None
    valid_split: str = "val"
    images: Path | None = None
    exhaustive: bool = False


@dataclass(frozen=True)
class Lessons:
    """What is trained on, and what it is measured on.

    Attributes:
        train: The data set.
        usable: Indices that are trained on.
        valid: The data set for validation; None = there is none.
        judged: Indices of it.
        left_out: Sentences about what was wrong and is left out.
    """

    train: Dataset
    usable: tuple[int, ...]
    valid: Dataset | None
    judged: tuple[int, ...]
    left_out: tuple[str, ...]


def open_lessons(choice: DataChoice, recipe: Recipe, *, skip_bad: bool, scratch: Path) -> Lessons:
    """Open the data and read every sample once.

    Args:
        choice: Which data.
        recipe: For what.
        skip_bad: Whether what is wrong is left out; otherwise it ends the training before it starts.
        scratch: Folder for a corrected copy of the annotations, where one is needed.

    Raises:
        DataError: If something is wrong, or nothing is left.
    """
    if recipe.avoid and not draws_phrases(recipe):
        got = f"classes to avoid in the recipe {recipe.name}"
        raise DataError(sentence(got, "them in phrasecut or phrasecut-plus", "leave avoid out"))
    if draws_phrases(recipe) and is_phrasecut(choice.path, choice.dataset):
        return _phrasecut(choice, recipe, skip_bad, scratch)
    opened, problems = open_data(choice, choice.path, choice.split, scratch / "train")
    read = Listing(opened)
    found = inspect(read)
    usable = found.usable
    valid, judged, more = _validation(choice, recipe, scratch)
    left_out = (*problems, *found.problems, *more)
    if not skip_bad:
        require_sound(left_out)
    if not usable:
        got = f"no picture of {show(choice.path)} that can be trained on"
        raise DataError(sentence(got, "at least one with a mask and a phrase", "look at what was left out"))
    if valid is None and recipe.valid_every and recipe.holdout and len(usable) >= FEWEST_HELD_OUT:
        usable, judged = _held_out(usable, recipe)
        valid = without_classes(opened, recipe)
    judged = _some(judged, recipe.valid_limit)
    if not draws_phrases(recipe):
        return Lessons(opened, usable, valid, judged, left_out)
    train = sample_draws(opened, usable, recipe, read.listed)
    return Lessons(train, tuple(range(len(train))), valid, judged, left_out)


def _phrasecut(choice: DataChoice, recipe: Recipe, skip_bad: bool, scratch: Path) -> Lessons:
    """PhraseCut's own files; its hundreds of thousands of samples are not all read beforehand."""
    train = phrasecut_draws(choice.path, choice.split, recipe)
    problems = inspect(train, range(0, len(train), max(1, len(train) // SPOT_CHECKS))).problems
    valid, judged, more = _validation(choice, recipe, scratch)
    left_out = (*problems, *more)
    if not skip_bad:
        require_sound(left_out)
    return Lessons(train, tuple(range(len(train))), valid, judged, left_out)


def _held_out(usable: tuple[int, ...], recipe: Recipe) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split indices into those that are trained on and those that are kept for validation."""
    order = np.random.default_rng([recipe.seed, len(usable)]).permutation(len(usable)).tolist()
    kept = set(order[: max(1, round(recipe.holdout * len(usable)))])
    train = tuple(index for place, index in enumerate(usable) if place not in kept)
    return train, tuple(index for place, index in enumerate(usable) if place in kept)


def _some(indices: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """At most `limit` of them, evenly spaced."""
    if len(indices) <= limit:
        return indices
    return tuple(indices[place * len(indices) // limit] for place in range(limit))


def _validation(
    choice: DataChoice, recipe: Recipe, scratch: Path
) -> tuple[Dataset | None, tuple[int, ...], tuple[str, ...]]:
    if not recipe.valid_every:
        return None, (), ()
    path, split = choice.valid or choice.path, choice.valid_split
    if draws_phrases(recipe) and is_phrasecut(path, choice.dataset):
        opened: Dataset = PhraseCut(path, split=split)
        problems: tuple[str, ...] = ()
    elif choice.valid is None and choice.dataset is None and split not in split_names(path):
        return None, (), ()
    else:
        opened, problems = open_data(choice, path, split, scratch / "valid")
    valid = without_classes(opened, recipe)
    found = inspect(valid, _some(tuple(range(len(valid))), recipe.valid_limit))
    return valid, found.usable, (*problems, *found.problems)


# --- your own images -----------------------------------------------------------------------------------------------


def open_data(choice: DataChoice, path: Path, split: str, scratch: Path) -> tuple[Dataset, tuple[str, ...]]:
    """Open data in whatever shape they are, without what is wrong with them, and say what that is.

    A split is looked at only where the data have parts.
    """
    known = choice.dataset is not None or split_names(path)
    opened = data.open_data(
        path,
        dataset=choice.dataset,
        split=split if known else None,
        images=choice.images,
        exhaustive=choice.exhaustive or None,
    )
    return opened, problems_of(opened)
