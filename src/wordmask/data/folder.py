"""Open a folder of images with label maps, COCO instances, a CSV table or weak labels, with or without splits.json.

    FOLDER/                     its name is the set's
      images/ID.jpg
      labels/ID.png             8 or 16 bits, value -> classes.json, 255 = ignore
      instances.json            or this instead: COCO's instance format, file names as in images/
      pairs.csv                 or this instead: lines of image, mask, phrase (`csv_table`)
      weak.json                 or this instead: boxes, names and captions without masks (`weak_labels`)
      classes.json              {"1": "skin", "2": "nose", …, "exhaustive": true}
      splits.json               {"train": ["ID", …], "val": ["ID", …]}; any names; may be missing
      SOURCE.md                 where it comes from and on what terms: for people

In label maps value 0 is a name like the others where classes.json gives it one, except "background" and "other": such
pixels have no label and count against any prediction. `"exhaustive": true` in classes.json or instances.json says that
whatever has a name is marked wherever it occurs, so that the other names are known to be absent from an image; one
image of instances.json may say so for itself. The parts of weak labels may be narrowed to the images whose boxes are
exhaustive for one vocabulary: "val-voc20", "val-coco80". Licence, size and origin are those of the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.data.coco_json import CocoJson
from wordmask.data.csv_table import CsvTable
from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import is_file, is_folder, malformed, read_json, require_choice, require_folder, show
from wordmask.data.weak_labels import VOCABULARIES, WeakLabels
from wordmask.errors import DataError, quote, sentence
from wordmask.formats.coco import image_root
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["ALL", "COCO_FILES", "open_files", "read_splits"]

NAMELESS = frozenset({"background", "other"})
IGNORE = 255
_IGNORED = frozenset({"ignore", "ignored", "ignore index", "void", "unlabeled", "unlabelled"})
ALL = "all"
"""The split that is everything, where splits.json calls no part so."""
USUAL_SPLITS = ("val", "valid", "validation", "dev", "test")
"""Parts that are opened where none is asked for: the first that there is."""
COCO_FILES = ("instances.json", "annotations.json", "_annotations.coco.json")
WEAK_FILE = "weak.json"
_EXHAUSTIVE = "exhaustive"
_CLASSES = "the names of label values, such as {'1': 'skin'}"
_SPLITS = "splits: a list of image names under each split's name"
_CORRECT = "correct this entry"
_LARGEST = 65535
_SHAPES = "a CSV table, a COCO JSON file, or a folder with images, labels and classes.json"


def open_files(
    path: str | os.PathLike[str],
    split: str | None = None,
    *,
    images: str | os.PathLike[str] | None = None,
    exhaustive: bool | None = None,
    boxes: bool = False,
) -> LabelMaps | CocoJson | CsvTable | WeakLabels:
    """Open label maps, COCO instances, a CSV table or weak labels.

    What is wrong with single lines, annotations or files is left out and listed in `problems`. Crowds of COCO's
    annotations count as parts of their name's mask.

    Args:
        path: The folder drawn above, or a CSV or JSON file.
        split: A key of splits.json, or "all"; None: the usual one for validation, or everything where there are no
            splits.
        images: Folder that COCO's file names start from; None = the one that results of wordmask name, `images` beside
            the file, or the file's folder.
        exhaustive: Whether names that are not marked in an image are known to be absent; None: as the data say.
        boxes: Whether objects of COCO's annotations that have a box and no mask are read: see `coco_json.CocoJson`.

    Raises:
        DataError: If files are missing or malformed, or nothing is left.
    """
    given = Path(path)
    if not is_file(given) and not is_folder(given):
        raise DataError(sentence(f"no folder or file {show(given)}", _SHAPES, "correct the path"))
    file = given if is_file(given) else _file_in(given)
    if file is not None and file.name == WEAK_FILE:
        return _weak_labels(file, given, images, split)
    part, keys = _part(given, split)
    kind = file.suffix.lower() if file is not None else ""
    if file is not None and kind == ".csv":
        return CsvTable(file, keys=keys, skip_bad=True, split=part)
    if file is not None and kind == ".json":
        return _coco(file, images, part, keys, exhaustive=exhaustive, boxes=boxes)
    if is_folder(given / "images") and (is_folder(given / "labels") or keys is not None):
        return _label_maps(given, part, keys, exhaustive=exhaustive)
    got = f"{show(given)}, which has none of the layouts that are read"
    raise DataError(sentence(got, _SHAPES, "see docs/data.md for the layouts"))


def read_splits(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of the parts in a folder's splits.json; () where there is none.

    Parts of weak labels are listed narrowed to each vocabulary, too.
    """
    file = Path(path) / "splits.json"
    parts = tuple(read_json(file, _SPLITS, dict)) if is_file(file) else ()
    if not is_file(Path(path) / WEAK_FILE):
        return parts
    return (*parts, *(f"{part}-{vocabulary}" for part in parts for vocabulary in VOCABULARIES))


# --- parts ---------------------------------------------------------------------------------------------------------


def _part(folder: Path, split: str | None) -> tuple[str, tuple[str, ...] | None]:
    """Return the name of the part and the keys in it; None: all there are."""
    file = folder / "splits.json"
    if not is_file(file):
        if split not in (None, ALL):
            got = f"the split {split!r} of {show(folder)}"
            raise DataError(sentence(got, "no split, since it has no splits.json", "leave the split out, or add one"))
        return ALL, None
    splits = read_json(file, _SPLITS, dict, unique=True)
    if split is None:
        split = next((usual for usual in USUAL_SPLITS if usual in splits), next(iter(splits), None))
    if split == ALL and ALL not in splits:
        return ALL, tuple(dict.fromkeys(key for name in splits for key in _keys(splits, name, file)))
    chosen = require_choice(split, tuple(splits), f"split of {folder.name}")
    return chosen, _keys(splits, chosen, file)


def _keys(splits: Mapping[str, object], split: str, file: Path) -> tuple[str, ...]:
    keys = splits[split]
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise malformed(file, _SPLITS, f"no list of names under {quote(split)}", "correct this list")
    if len(set(keys)) < len(keys):
        raise malformed(file, _SPLITS, f"a name twice under {quote(split)}", "correct this list")
    return tuple(keys)


# --- shapes --------------------------------------------------------------------------------------------------------


def _file_in(folder: Path) -> Path | None:
    """Return the one table in a folder, or its annotations."""
    names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    tables = [path for path in names if path.suffix.lower() == ".csv" and is_file(path)]
    if len(tables) > 1:
        got = f"{len(tables)} tables in {show(folder)}"
        raise DataError(sentence(got, "one", f"name the one that is meant, such as {show(tables[0])}"))
    files = [*tables, *(folder / name for name in (*COCO_FILES, WEAK_FILE))]
    return next((file for file in files if is_file(file)), None)


def _coco(
    file: Path,
    images: str | os.PathLike[str] | None,
    split: str,
    keys: tuple[str, ...] | None,
    *,
    exhaustive: bool | None,
    boxes: bool,
) -> CocoJson:
    beside = image_root(file) or file.parent / "images"
    folder = Path(images) if images is not None else beside if is_folder(beside) else file.parent
    return CocoJson(
        file,
        folder,
        exhaustive=exhaustive,
        crowds=True,
        keys=keys,
        skip_bad=True,
        boxes=boxes,
        name=_name(file.parent if folder == beside else folder),
        split=split,
    )


def _weak_labels(file: Path, given: Path, images: str | os.PathLike[str] | None, split: str | None) -> WeakLabels:
    vocabulary = next((name for name in VOCABULARIES if split is not None and split.endswith(f"-{name}")), None)
    part, keys = _part(given, split if split is None or vocabulary is None else split.removesuffix(f"-{vocabulary}"))
    return WeakLabels(
        file,
        file.parent / "images" if images is None else images,
        keys=keys,
        vocabulary=vocabulary,
        name=_name(file.parent),
        split=part if vocabulary is None else f"{part}-{vocabulary}",
    )


def _label_maps(folder: Path, split: str, keys: tuple[str, ...] | None, *, exhaustive: bool | None) -> LabelMaps:
    names, said = _classes(folder / "classes.json")
    return LabelMaps(
        require_folder(folder / "images", "images"),
        require_folder(folder / "labels", "label maps"),
        {value: word for value, word in names.items() if word not in NAMELESS | _IGNORED},
        ignore=[IGNORE, *(value for value, word in names.items() if word in _IGNORED)],
        other=[value for value in {0: "", **names} if names.get(value, "background") in NAMELESS],
        exhaustive=said if exhaustive is None else exhaustive,
        keys=keys,
        skip_bad=True,
        name=_name(folder),
        split=split,
    )


def _name(folder: Path) -> str:
    return folder.resolve().name


def _classes(file: Path) -> tuple[dict[int, str], bool]:
    """Return the names by label value, without 255, and whether the labels are exhaustive."""
    content = read_json(file, _CLASSES, dict, unique=True)
    exhaustive = content.pop(_EXHAUSTIVE, False)
    if not isinstance(exhaustive, bool):
        raise malformed(file, _CLASSES, f"{exhaustive!r} as {_EXHAUSTIVE!r} instead of true or false", _CORRECT)
    names: dict[int, str] = {}
    spelling: dict[str, str] = {}
    for value, word in content.items():
        if not _is_value(value) or not isinstance(word, str) or not word.strip() or int(value) in names:
            raise malformed(file, _CLASSES, f"the entry {quote(value)}: {quote(word)}", _CORRECT)
        if int(value) == IGNORE and fold_phrase(word) not in _IGNORED:
            problem = f"the name {quote(word)} for the value {IGNORE}, which is reserved for pixels to ignore"
            raise malformed(file, _CLASSES, problem, "give the name another value, in the label maps too")
        key = fold_phrase(word)
        names[int(value)] = key if key in NAMELESS | _IGNORED else spelling.setdefault(key, word.strip())
    names.pop(IGNORE, None)
    if not set(names.values()) - NAMELESS - _IGNORED:
        raise malformed(file, _CLASSES, "no name", _CORRECT)
    return names, exhaustive


def _is_value(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)) and int(text) <= _LARGEST
