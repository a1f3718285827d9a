"""Reader for data sets of the Hugging Face `datasets` library: a column of images, a column of label maps.

    HuggingFace("owner/streets", ["sky", "road", "car"], split="validation", image="pixels", label="annotation")

Licence, size and origin are those on the set's card. The library is optional (`pip install datasets`) and imported only
when a name is given instead of a data set that has been opened already. A set opened by name is downloaded to the
library's own cache (`HF_HOME`), and read from there with `HF_HUB_OFFLINE=1`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordmask.data.label_maps import LabelMeanings, semantic_sample
from wordmask.data.reading import fingerprint, require_index
from wordmask.errors import DataError, ImageError, MissingExtraError, quote, sentence
from wordmask.images import load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.data.sample import Sample

__all__ = ["HuggingFace"]

IMAGE_COLUMNS = ("image", "img", "pixel_values", "pixels")
LABEL_COLUMNS = ("label", "annotation", "mask", "semantic_mask", "segmentation_mask", "label_map", "labels")


class HuggingFace:
    """Rows with an image and a label map; one query for every name that is in the image.

    Args:
        dataset: A `datasets.Dataset` (anything with a length and rows that are dictionaries), or its name on the hub,
            or a folder, as `datasets.load_dataset` takes it.
        names: Value -> name, or the names of the values from 0 on; None: those that the label column's `ClassLabel`
            knows.
        image, label: Names of the columns; None: the first usual one that there is, such as "image" and "annotation".
        key: Column that names the rows; None: their numbers.
        ignore: Value (or values) of pixels that count neither for nor against a prediction.
        other: Values of pixels known to be none of the names.
        exhaustive: Whether names that do not occur in an image are known to be absent.
        split: Which part to open of a set that is given by name; otherwise what reports call it.
        config: The set's configuration, if it has several.

    Raises:
        MissingExtraError: If a name is given and the library is not installed.
        DataError: If the set cannot be opened, is not one of rows, or a column or the names are missing.
    """

    def __init__(
        self,
        dataset: Any,
        names: Sequence[str] | Mapping[int, str] | None = None,
        *,
        image: str | None = None,
        label: str | None = None,
        key: str | None = None,
        ignore: int | Iterable[int] = 255,
        other: Iterable[int] = (),
        exhaustive: bool = False,
        split: str = "validation",
        config: str | None = None,
    ) -> None:
        self.name = dataset if isinstance(dataset, str) else _title(dataset)
        self.split, self.exhaustive = split, exhaustive
        self._rows = _opened(dataset, config, split) if isinstance(dataset, str) else dataset
        _check_rows(self._rows, self.name)
        columns = _columns(self._rows)
        self._image, self._label = image or _usual(columns, IMAGE_COLUMNS), label or _usual(columns, LABEL_COLUMNS)
        self._key = key
        for column in (self._image, self._label, *([key] if key else [])):
            if column not in columns:
                got = f"no column {quote(column)} in {quote(self.name)}"
                remedy = "pass image=, label= and key= as the set calls its columns"
                raise DataError(sentence(got, f"one of {', '.join(map(repr, columns))}", remedy))
        given = _class_names(self._rows, self._label, self.name) if names is None else names
        self._meanings = LabelMeanings.of(given, ignore, other)

    @property
    def names(self) -> tuple[str, ...]:
        """The vocabulary, in the order of `Sample.labels`."""
        return self._meanings.names

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the library's own fingerprint of the set, its length and the options."""
        return fingerprint(
            [],
            name=self.name,
            split=self.split,
            rows=str(getattr(self._rows, "_fingerprint", "")),
            length=len(self),
            columns=(self._image, self._label, self._key),
            **self._meanings.facts,
            exhaustive=self.exhaustive,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: if the image or the label map is damaged, or they differ in size.
        """
        row = self._rows[require_index(index, len(self))]
        where = f"row {index} of {self.name}"
        try:
            image = load_image(_decoded(row[self._image]))
        except ImageError as error:
            got = f"no readable image in {where} ({quote(error, limit=200)})"
            raise DataError(
                sentence(got, f"an image in the column {self._image!r}", "prepare the set again")
            ) from error
        values = _label_values(row[self._label], where)
        positions = self._meanings.read(values, where, "a label map")
        if positions.shape != image.size:
            got = f"a label map of {positions.shape[0]} x {positions.shape[1]} in {where}"
            expected = f"its image's {image.size[0]} x {image.size[1]} (height x width)"
            raise DataError(sentence(got, expected, "prepare the set again"))
        key = str(index) if self._key is None else str(row[self._key])
        return semantic_sample(key, image, positions, self.names, exhaustive=self.exhaustive)


# --- the library ---------------------------------------------------------------------------------------------------


def _opened(name: str, config: str | None, split: str) -> Any:
    try:
        import datasets  # type: ignore[import-not-found, unused-ignore]  # an extra; untyped
    except ImportError as error:
        remedy = "run `pip install datasets`, or pass a data set that is open"
        raise MissingExtraError(sentence(f"the data set {quote(name)}", "the package datasets", remedy)) from error
    try:
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:  # its builders raise whatever their own code raises
        got = f"the data set {quote(name)}, which `datasets` cannot open ({quote(error, limit=160)})"
        remedy = "check the name, the configuration, the split and the connection"
        raise DataError(sentence(got, "a set on the hub, in the cache or in a folder", remedy)) from error


def _title(dataset: Any) -> str:
    name = getattr(getattr(dataset, "info", None), "dataset_name", None)
    return name if isinstance(name, str) and name else "hugging face"


def _check_rows(rows: Any, name: str) -> None:
    if isinstance(rows, Mapping):
        got = f"{quote(name)} with the splits {', '.join(map(repr, rows))}"
        raise DataError(sentence(got, "one of them", "pass for example dataset['validation']"))
    if not (hasattr(rows, "__len__") and hasattr(rows, "__getitem__")):
        got = f"a data set of type {type(rows).__name__}"
        raise DataError(sentence(got, "one with a length and rows by number", "open it without streaming=True"))
    if not len(rows):
        raise DataError(sentence(f"{quote(name)} without a row", "at least one", "choose another split"))


def _columns(rows: Any) -> tuple[str, ...]:
    columns = getattr(rows, "column_names", None)
    return tuple(rows[0]) if columns is None else tuple(columns)


def _usual(columns: tuple[str, ...], usual: tuple[str, ...]) -> str:
    """Return the first of the usual names that there is; the first of all where there is none."""
    return next((name for name in usual if name in columns), usual[0])


def _class_names(rows: Any, label: str, name: str) -> Sequence[str]:
    feature = (getattr(rows, "features", None) or {}).get(label)
    while feature is not None and not getattr(feature, "names", None):
        feature = getattr(feature, "feature", None)  # a sequence of sequences of ClassLabel
    if feature is None:
        got = f"no names of the values in the column {quote(label)} of {quote(name)}"
        raise DataError(sentence(got, "a name for every value", "pass names=, from the set's card"))
    return tuple(feature.names)


# --- one row -------------------------------------------------------------------------------------------------------


def _decoded(value: Any) -> Any:
    """Return what a column of images holds; undecoded ones are dictionaries of bytes and a path."""
    if not isinstance(value, Mapping):
        return value
    content = value.get("bytes")
    return value.get("path") if content is None else content


def _label_values(value: Any, where: str) -> NDArray[np.int32]:
    content = _decoded(value)
    try:
        if isinstance(content, bytes | str):
            content = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
        values = np.asarray(content)
    except (OSError, ValueError, SyntaxError, TypeError) as error:
        got = f"no readable label map in {where}"
        raise DataError(
            sentence(got, "an image of one channel, or rows of numbers", "prepare the set again")
        ) from error
    if values.ndim != 2 or values.dtype.kind not in "uib" or not values.size:
        got = f"a label map of shape {values.shape} and type {values.dtype} in {where}"
        raise DataError(
            sentence(got, "whole numbers (height, width)", "pass the column of label values, not of colours")
        )
    return values.astype(np.int32)
