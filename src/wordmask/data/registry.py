"""Open any data set: a published one by name, or a user's own files.

| `path` | how it is read |
|---|---|
| a folder, with `dataset` one of `NAMED_SETS` | the set's own reader |
| `owner/name` or a folder, with `dataset="huggingface"` | the `datasets` library: `data.hugging_face` |
| `table.csv`, or a folder with one | lines of image, mask, phrase: `data.csv_table` |
| `annotations.json`, or a folder with `instances.json` or `annotations.json` | COCO's instances: `data.coco_json` |
| a folder with `images`, `labels` and `classes.json` | label maps: `data.label_maps` |
| any such folder with `splits.json` | one of its parts: `data.folder` |
| PhraseCut's own folder | `data.phrasecut` |
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.data.named_sets import NAMED_SETS, NamedSet
from wordmask.data.reading import is_file, require_choice
from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    import os

    from wordmask.contracts import Dataset

__all__ = ["HUGGING_FACE", "NAMED_SETS", "NamedSet", "find_set", "is_phrasecut", "open_data", "splits_of"]

HUGGING_FACE = "huggingface"
"""Name under which any set of the `datasets` library is opened."""


def open_data(
    path: str | os.PathLike[str] | None,
    *,
    dataset: str | None = None,
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    exhaustive: bool | None = None,
    boxes: bool = False,
    seed: int = 0,
) -> Dataset:
    """Open data of any shape in the table above.

    What is wrong with single lines, annotations or files of a user's own data is left out and listed in the data set's
    `problems` (`data.problems.problems_of`). No image is read.

    Args:
        path: The data; None for a set that is generated.
        dataset: A name of `NAMED_SETS`, or "huggingface"; None: look at the files.
        split: Which part; None: the set's default, or everything where there are no parts.
        images: Folder that COCO's file names start from; None = `images` beside the file, or the file's folder.
        exhaustive: Whether names that are not marked in an image are known to be absent; None: as the data say. Named
            sets know it themselves.
        boxes: Whether objects of COCO's annotations that have a box and no mask are read: see `coco_json.CocoJson`.
            Otherwise they are a problem of the file.
        seed: For sets that draw their samples.

    Raises:
        DataError: If the name is unknown, or files are missing or malformed, or nothing is left.
        MissingExtraError: If a package is needed that is not installed.
    """
    if dataset == HUGGING_FACE:
        return _hugging_face(path, split, exhaustive=exhaustive)
    if dataset is not None:
        return _named(find_set(dataset), path, split, seed)
    if path is None:
        raise DataError(sentence("no data", "a folder, a file, or the name of a data set", "name them with --data"))
    if is_phrasecut(path):
        return _named(NAMED_SETS["phrasecut"], path, split, seed)
    from wordmask.data.folder import open_files

    return open_files(path, split, images=images, exhaustive=exhaustive, boxes=boxes)


def find_set(name: str) -> NamedSet:
    """Return a set by its name.

    Raises:
        DataError: If there is none of that name.
    """
    if name not in NAMED_SETS:
        expected = f"one of {', '.join(sorted([*NAMED_SETS, HUGGING_FACE]))}"
        raise DataError(sentence(f"the data set {quote(name)}", expected, "choose one of these"))
    return NAMED_SETS[name]


def splits_of(path: str | os.PathLike[str] | None, *, dataset: str | None = None) -> tuple[str, ...]:
    """Return the parts that data are known to have; () where they have none or only the library knows them."""
    if dataset is not None:
        return () if dataset == HUGGING_FACE else find_set(dataset).splits
    if path is None:
        return ()
    if is_phrasecut(path):
        return NAMED_SETS["phrasecut"].splits
    from wordmask.data.folder import read_splits

    return read_splits(path)


def is_phrasecut(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is PhraseCut's own."""
    return is_file(Path(path) / "image_data_split.json")


def _named(entry: NamedSet, path: str | os.PathLike[str] | None, split: str | None, seed: int) -> Dataset:
    if path is None and entry.needs_folder:
        raise DataError(sentence(f"no folder for {entry.name}", entry.layout, "name it with --data"))
    chosen = entry.splits[0] if split is None else require_choice(split, entry.splits, f"split of {entry.name}")
    return entry.read(Path() if path is None else Path(path), chosen, seed)


def _hugging_face(path: str | os.PathLike[str] | None, split: str | None, *, exhaustive: bool | None) -> Dataset:
    from wordmask.data.hugging_face import HuggingFace

    if path is None:
        got = "no name of a data set for the library datasets"
        raise DataError(sentence(got, "a name on the hub or a folder", "name it with --data, such as owner/streets"))
    return HuggingFace(Path(path).as_posix(), split=split or "validation", exhaustive=bool(exhaustive))
