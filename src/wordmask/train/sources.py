"""The data of a training: a set by name, or your own pictures in one of three shapes.

| what `--data` names | how it is read |
|---|---|
| `table.csv`, or a folder with one | lines of image, mask, phrase: `data.csv_table` |
| `annotations.json`, or a folder with `instances.json` or `annotations.json` | COCO's instances: `data.coco_json` |
| a folder with `images`, `labels` and `classes.json` | label maps: `data.label_maps` |
| a folder with `splits.json` beside them | the plain layout: `data.plain` |
| a folder, and a set's name | `data.catalogue` |

The recipes of PhraseCut take all of these, too, and PhraseCut's own folder without a name: see `train.drawn`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.catalogue import open_dataset
from wordmask.data.coco_json import CocoJson
from wordmask.data.csv_table import CsvTable
from wordmask.data.label_maps import MAPS, PICTURES, LabelMaps
from wordmask.data.phrase_samples import Listing
from wordmask.data.phrasecut import PhraseCut
from wordmask.data.plain import IGNORE, NAMELESS, plain
from wordmask.data.reading import malformed, read_json, require_field, require_folder, show
from wordmask.errors import DataError, sentence
from wordmask.formats.files import write
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
_COCO_NAMES = ("instances.json", "annotations.json", "_annotations.coco.json")
_COCO = "annotations in COCO's instance format"


@dataclass(frozen=True)
class DataChoice:
    """What the user said about the data.

    Attributes:
        path: See the table above.
        dataset: Name of a set in `data.catalogue.DATASETS`; None = look at the files.
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
    elif choice.valid is None and choice.dataset is None and split not in _splits_of(path):
        return None, (), ()
    else:
        opened, problems = open_data(choice, path, split, scratch / "valid")
    valid = without_classes(opened, recipe)
    found = inspect(valid, _some(tuple(range(len(valid))), recipe.valid_limit))
    return valid, found.usable, (*problems, *found.problems)


# --- your own pictures ---------------------------------------------------------------------------------------------


def open_data(choice: DataChoice, path: Path, split: str, scratch: Path) -> tuple[Dataset, tuple[str, ...]]:
    """Open data in whatever shape they are, without what is wrong with them, and say what that is."""
    if choice.dataset is not None:
        return open_dataset(choice.dataset, path, split), ()
    file = path if path.is_file() else _file_in(path)
    if file is not None and file.suffix.lower() == ".csv":
        return _table(file)
    if (path / "splits.json").is_file():
        return plain(path, split, exhaustive=True if choice.exhaustive else None), ()
    if file is not None and file.suffix.lower() == ".json":
        return _coco(file, choice, scratch)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return _label_maps(path, exhaustive=choice.exhaustive)
    got = f"{show(path)}, which is none of the shapes that training reads" if path.exists() else f"no {show(path)}"
    expected = "a CSV table, a COCO JSON file, or a folder with images, labels and classes.json"
    raise DataError(sentence(got, expected, "see docs/tasks/train.md for the three shapes"))


def _splits_of(path: Path) -> tuple[str, ...]:
    file = path / "splits.json"
    return tuple(read_json(file, "lists of names by split", dict)) if file.is_file() else ()


def _file_in(folder: Path) -> Path | None:
    """The one table in a folder, or its annotations."""
    tables = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if len(tables) > 1:
        got = f"{len(tables)} tables in {show(folder)}"
        raise DataError(sentence(got, "one", f"name the one that is meant, such as {show(tables[0])}"))
    files = [*tables, *(folder / name for name in _COCO_NAMES)]
    return next((file for file in files if file.is_file()), None)


def _table(file: Path) -> tuple[CsvTable, tuple[str, ...]]:
    whole = CsvTable(file)
    wrong: dict[int, str] = {}
    for row in whole.rows:
        try:
            whole.read_row(row)
        except DataError as error:
            wrong[row.line] = str(error)
    if len(wrong) == len(whole.rows):
        require_sound(tuple(wrong.values()))
    return CsvTable(file, without=wrong), tuple(wrong.values())


def _coco(file: Path, choice: DataChoice, scratch: Path) -> tuple[CocoJson, tuple[str, ...]]:
    beside = file.parent / "images"
    images = choice.images or (beside if beside.is_dir() else file.parent)
    kept, problems = _sound_annotations(file)
    if problems:
        file = write(scratch / file.name, json.dumps(kept).encode())
    return CocoJson(file, images, exhaustive=choice.exhaustive, name=images.resolve().name), problems


def _sound_annotations(file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The content of a file without annotations that name no category, or name a blank one."""
    content = read_json(file, _COCO, dict)
    categories = require_field(content, "categories", list, file, _COCO)
    known = {record.get("id") for record in categories if str(record.get("name", "")).strip()}
    problems = [
        str(malformed(file, _COCO, f"a blank name in category {place}"))
        for place, record in enumerate(categories)
        if record.get("id") not in known
    ]
    kept = []
    for place, record in enumerate(require_field(content, "annotations", list, file, _COCO)):
        if isinstance(record, dict) and record.get("category_id") in known:
            kept.append(record)
        else:
            number = record.get("category_id") if isinstance(record, dict) else record
            problems.append(str(malformed(file, _COCO, f"the unknown category {number} in annotation {place}")))
    sound = [record for record in categories if record.get("id") in known]
    return {**content, "categories": sound, "annotations": kept}, tuple(problems)


def _label_maps(folder: Path, *, exhaustive: bool) -> tuple[LabelMaps, tuple[str, ...]]:
    images, labels = require_folder(folder / "images", "pictures"), require_folder(folder / "labels", "label maps")
    names = _names(folder / "classes.json")
    pictures, maps = _stems(images, PICTURES), _stems(labels, MAPS)
    problems = [
        str(malformed(path, "a picture and its label map", "no partner", "add it, or take this file away"))
        for stem, path in sorted((pictures | maps).items())
        if stem not in pictures or stem not in maps
    ]
    both = sorted(pictures.keys() & maps.keys())
    if not both:
        require_sound(tuple(problems) or (f"{show(images)} is empty",))
    dataset = LabelMaps(
        images,
        labels,
        {value: word for value, word in names.items() if word not in NAMELESS},
        ignore=IGNORE,
        other=[value for value, word in names.items() if word in NAMELESS],
        exhaustive=exhaustive,
        keys=both,
        name=folder.resolve().name,
    )
    return dataset, tuple(problems)


def _stems(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in endings}


def _names(file: Path) -> dict[int, str]:
    what = "the names of label values, such as {'1': 'cup'}"
    names = read_json(file, what, dict)
    for value, word in names.items():
        if not value.isdecimal() or not isinstance(word, str) or not word.strip():
            raise malformed(file, what, f"the entry {value!r}: {word!r}")
    return {int(value): word for value, word in names.items() if int(value) != IGNORE}
