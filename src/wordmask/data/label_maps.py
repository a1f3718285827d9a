"""Reader for label maps: a folder of images and a folder with one label map an image.

    images/             labels/
      kitchen.jpg         kitchen.png     one channel of 8 or 16 bits, or a palette: the value of a pixel is its name
      street.jpeg         street.png

An image and its label map share their name up to the ending. Licence, size and origin are those of your own data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.keys import chosen_keys
from wordmask.data.mask_files import read_labels
from wordmask.data.problems import NOTHING_LEFT, require_sound
from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    require_folder,
    require_index,
    show,
)
from wordmask.data.sample import UNKNOWN, Query, Sample
from wordmask.errors import DataError, quote, sentence
from wordmask.images import IMAGE_SUFFIXES
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from wordmask.images import ImageInput

__all__ = ["IGNORED", "LabelMaps", "LabelMeanings", "semantic_sample"]

IGNORED = -2
"""Position of a pixel that counts neither for nor against a prediction."""

MAPS = (".png", ".tif", ".tiff")
_INVALID = -3
_LARGEST = 65535  # of 16 bits

ReadLabels = Callable[[Path, str], "NDArray[np.int32]"]


@dataclass(frozen=True)
class LabelMeanings:
    """What the values of a label map mean.

    Attributes:
        names: The vocabulary.
        positions: Value -> position among the names.
        ignore: Values of pixels that count neither for nor against a prediction.
        other: Values of pixels that are known to be none of the names: they have no label, but count against a
            prediction that covers them.
    """

    names: tuple[str, ...]
    positions: Mapping[int, int]
    ignore: tuple[int, ...] = ()
    other: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, names: Sequence[str] | Mapping[int, str], ignore: int | Iterable[int], other: Iterable[int] = ()
    ) -> LabelMeanings:
        """Read what a user wrote: names by value, or in the order of the values from 0; a name may have many values.

        Raises:
            DataError: If there is no name, one is blank, or a value is not between 0 and 65535 or has two meanings.
        """
        by_value = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
        _check_names(by_value)
        vocabulary = tuple(dict.fromkeys(by_value.values()))
        positions = {value: vocabulary.index(name) for value, name in by_value.items()}
        ignored = (ignore,) if isinstance(ignore, int) else tuple(ignore)
        meanings = cls(vocabulary, positions, ignored, tuple(other))
        _check_values([*positions, *meanings.ignore, *meanings.other])
        return meanings

    @property
    def facts(self) -> dict[str, Any]:
        """What a fingerprint depends on."""
        return {
            "names": self.names,
            "values": sorted(self.positions.items()),
            "ignore": sorted(self.ignore),
            "other": sorted(self.other),
        }

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """int32 `(largest value + 2,)`: value -> position, `UNKNOWN` or `IGNORED`; the last entry is no value."""
        values = [*self.positions, *self.ignore, *self.other]
        table = np.full(max(values) + 2, _INVALID, dtype=np.int32)
        table[list(self.ignore)] = IGNORED
        table[list(self.other)] = UNKNOWN
        table[list(self.positions)] = list(self.positions.values())
        return table

    def read(self, values: NDArray[np.int32], path: str | os.PathLike[str], what: str) -> NDArray[np.int32]:
        """Return int32 `(H, W)`: the position of every pixel among the names, `UNKNOWN` or `IGNORED`.

        Raises:
            DataError: If a value means nothing.
        """
        positions = self.table[np.clip(values, -1, len(self.table) - 1)]
        strange = positions == _INVALID
        if strange.any():
            known = ", ".join(map(str, _ranges(sorted({*self.positions, *self.ignore, *self.other}))))
            problem = f"the value {int(values[strange].min())}"
            remedy = "name this value, or list it among those to ignore"
            raise malformed(path, f"{what} with values among {known}", problem, remedy)
        return positions


class LabelMaps:
    """Images with a label map each; one query for every name that is in the image.

    Args:
        images: Folder of the images.
        labels: Folder of the label maps.
        names: Value -> name, or the names of the values from 0 on. A name may have several values.
        ignore: Value (or values) of pixels that count neither for nor against a prediction.
        other: Values of pixels known to be none of the names.
        exhaustive: Whether every object that has a name is labelled wherever it occurs: the other names are then known
            to be absent from an image.
        keys: File names, with or without ending, to choose and order the samples; None means all, sorted.
        skip_bad: Whether an image without a label map, or the reverse, is left out and listed in `problems`.
        read: How a label map is read: a function `(path, what it should hold) -> int32 (H, W)`.
        endings: Endings that a label map may have.
        as_stored: Whether label maps are drawn on the pixels as they are stored: see `reading.read_image`.
        name, split: What reports call the set.

    Raises:
        DataError: If a folder is missing, an image has no label map or a label map no image.
    """

    def __init__(
        self,
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str],
        names: Sequence[str] | Mapping[int, str],
        *,
        ignore: int | Iterable[int] = 255,
        other: Iterable[int] = (),
        exhaustive: bool = False,
        keys: Iterable[str] | None = None,
        skip_bad: bool = False,
        read: ReadLabels = read_labels,
        endings: tuple[str, ...] = MAPS,
        as_stored: bool = False,
        name: str = "label maps",
        split: str = "all",
    ) -> None:
        self.name, self.split, self.exhaustive = name, split, exhaustive
        self._what = f"a label map of {name}"
        self._read, self._as_stored = read, as_stored
        self._meanings = LabelMeanings.of(names, ignore, other)
        chosen = None if keys is None else tuple(keys)
        self._files, self.problems = _pairs(Path(images), Path(labels), endings, chosen, name, skip_bad=skip_bad)

    @property
    def names(self) -> tuple[str, ...]:
        """The vocabulary, in the order of `Sample.labels`."""
        return self._meanings.names

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every label map and of the options; computed when first asked for, since it reads them all."""
        return fingerprint(
            [labels for _, _, labels in self._files],
            name=self.name,
            split=self.split,
            keys=[key for key, _, _ in self._files],
            **self._meanings.facts,
            exhaustive=self.exhaustive,
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: if the image or its label map is missing or malformed, or they differ in size.
        """
        key, path, labels = self._files[require_index(index, len(self))]
        positions = self._meanings.read(self._read(labels, self._what), labels, self._what)
        size = (positions.shape[0], positions.shape[1])
        image = read_image(path, size, f"an image of {self.name}", as_stored=self._as_stored)
        return semantic_sample(key, image, positions, self.names, exhaustive=self.exhaustive)


def semantic_sample(
    key: str, image: ImageInput, positions: NDArray[np.int32], names: Sequence[str], *, exhaustive: bool
) -> Sample:
    """Return the sample of an image whose pixels have one name each.

    Args:
        key: Its name.
        image: The image.
        positions: int32 `(H, W)`, positions among the names, `UNKNOWN` or `IGNORED`.
        names: The vocabulary.
        exhaustive: Whether names that do not occur are known to be absent.
    """
    present = np.flatnonzero(np.bincount(positions[positions >= 0], minlength=1)).tolist()
    queries = tuple(Query(TextPrompt(names[value]), pack(positions == value), names[value]) for value in present)
    missing = np.setdiff1d(np.arange(len(names)), present)
    absent = tuple(names[value] for value in missing) if exhaustive else ()
    ignored = pack(positions == IGNORED)
    labels = np.maximum(positions, np.int32(UNKNOWN))
    size = (positions.shape[0], positions.shape[1])
    return Sample(key, image, size, queries, absent, ignored if ignored.area else None, labels)


# --- checks --------------------------------------------------------------------------------------------------------


def _check_names(by_value: Mapping[Any, Any]) -> None:
    blank = [value for value, name in by_value.items() if not isinstance(name, str) or not name.strip()]
    if blank or not by_value:
        got = f"the name {quote(by_value[blank[0]])} for value {blank[0]}" if blank else "no names for a label map"
        raise DataError(sentence(got, "a name for every value", "pass names=['sky', 'road'] or {1: 'sky', 2: 'road'}"))


def _check_values(values: list[Any]) -> None:
    wrong = [value for value in values if not isinstance(value, int) or not 0 <= value <= _LARGEST]
    if wrong:
        got = f"the label value {quote(wrong[0])}"
        raise DataError(sentence(got, "a whole number from 0 to 65535", "correct the names, ignore or other"))
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        got = f"two meanings for the label value {twice}"
        raise DataError(sentence(got, "each value in one of names, ignore and other", "take it out of the others"))


def _ranges(values: list[int]) -> list[str]:
    """Return sorted numbers as `["0-3", "255"]`."""
    starts = [value for place, value in enumerate(values) if place == 0 or values[place - 1] != value - 1]
    ends = [value for place, value in enumerate(values) if place == len(values) - 1 or values[place + 1] != value + 1]
    return [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]


# --- files ---------------------------------------------------------------------------------------------------------


def _pairs(
    images: Path, labels: Path, endings: tuple[str, ...], keys: tuple[str, ...] | None, name: str, *, skip_bad: bool
) -> tuple[tuple[tuple[str, Path, Path], ...], tuple[str, ...]]:
    """Return key, image and label map of every sample, and sentences about files without a partner."""
    image_files = _by_stem(images, IMAGE_SUFFIXES, f"the images of {name}")
    label_files = _by_stem(labels, endings, f"the label maps of {name}")
    every = {key: key for key in sorted(image_files.keys() | label_files.keys())}
    if keys is not None and not skip_bad:  # a published list: no other name than these is looked for
        chosen, missing = keys, tuple[str, ...]()
    else:
        found, missing = chosen_keys(every, keys, show(images), skip_bad=skip_bad)
        chosen = tuple(found)
    problems = missing
    if skip_bad:
        problems += _alone(chosen, image_files, label_files)
        chosen = tuple(key for key in chosen if key in image_files and key in label_files)
    if problems and not chosen:
        require_sound(problems, NOTHING_LEFT)
    for key in chosen:
        _require(key, label_files, labels, "the label map of this image", endings)
        _require(key, image_files, images, "the image of this label map", IMAGE_SUFFIXES)
    if not chosen:
        got = f"no images in {show(images)}"
        raise DataError(sentence(got, f"the images of {name}", "give the folder that holds them"))
    return tuple((key, image_files[key], label_files[key]) for key in chosen), problems


def _alone(keys: Iterable[str], images: Mapping[str, Path], maps: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a sentence about every file without a partner."""
    files = {**images, **maps}
    return tuple(
        str(malformed(files[key], "an image and its label map", "no partner", "add it, or take this file away"))
        for key in keys
        if key not in images or key not in maps
    )


def _by_stem(folder: Path, endings: tuple[str, ...], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(require_folder(folder, what).iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in found:
            got = f"two files for {quote(path.stem)} in {show(folder)}, {path.name} and {found[path.stem].name}"
            raise DataError(sentence(got, f"one of each of {what}", "rename or remove one"))
        found[path.stem] = path
    return found


def _require(key: str, found: Mapping[str, Path], folder: Path, what: str, endings: tuple[str, ...]) -> None:
    if key not in found:
        others = f" (or {', '.join(endings[1:])})" if len(endings) > 1 else ""
        got = f"no file {show(folder / f'{key}{endings[0]}')}{others}"
        raise DataError(sentence(got, what, "add it, or choose the samples that are complete"))
