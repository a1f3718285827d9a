"""Reader for a CSV table: each line names an image, a mask and a phrase.

    pairs.csv           image,mask,phrase
                        photos/a.jpg,masks/a-cup.png,the red cup
                        photos/a.jpg,masks/a-handle.png,handle
                        photos/a.jpg,,a spoon

Paths start from the table's folder. A mask is an image in black and white, white where the object is, of the size of
its photograph. Lines with the same image and phrase add up. A line without a mask says that nothing in the image is
called so. Text is UTF-8; further columns are not read. Licence, size and origin are those of your own data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.data.problems import require_sound
from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_bytes,
    read_image,
    read_mask,
    read_size,
    require_file,
    require_index,
    show,
)
from wordmask.data.sample import Query, Sample
from wordmask.errors import DataError, WordmaskError, sentence
from wordmask.ops.masks import pack, union
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask

__all__ = ["CsvRow", "CsvTable"]

COLUMNS = ("image", "mask", "phrase")
_WHAT = "a table with the columns image, mask and phrase"
_REMEDY = "correct the line, or take it out"


@dataclass(frozen=True)
class CsvRow:
    """One line of the table.

    Attributes:
        line: Its number, from 1; of a line that holds line breaks, that of its end.
        image: Path as written.
        mask: Path as written; "" where the object is known to be absent.
        phrase: As written.
    """

    line: int
    image: str
    mask: str
    phrase: str


class CsvTable:
    """A table of image, mask and phrase; one sample for every image, in the order of their first lines.

    Args:
        table: The CSV file.
        keys: Images, as the table writes them or without folder and ending, to choose and order the samples; None
            means all, in the order of their first lines.
        skip_bad: Whether every line and mask is read now, and lines in which something is wrong are left out and
            listed in `problems`.
        name, split: What reports call the set.

    Raises:
        DataError: If the file is missing, is no table, lacks a column, or no line is left.
    """

    names: tuple[str, ...] = ()
    exhaustive = False

    def __init__(
        self,
        table: str | os.PathLike[str],
        *,
        keys: Iterable[str] | None = None,
        skip_bad: bool = False,
        name: str = "csv table",
        split: str = "all",
    ) -> None:
        self.name, self.split = name, split
        self.path = require_file(table, _WHAT)
        self.problems: tuple[str, ...] = ()
        self.rows = _chosen(_rows(self.path), None if keys is None else tuple(keys), self.path)
        if skip_bad:
            self._leave_out()
        if not self.rows:
            raise malformed(self.path, _WHAT, "no line that is left", "add a line for every mask")
        images: dict[str, list[CsvRow]] = {}
        for row in self.rows:
            images.setdefault(row.image, []).append(row)
        self._images = tuple(images.items())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the table's lines and of every mask."""
        masks = sorted({row.mask for row in self.rows if row.mask})
        lines = [[row.image, row.mask, row.phrase] for row in self.rows]
        files = [self.path, *(self._at(mask) for mask in masks)]
        return fingerprint(files, name=self.name, split=self.split, lines=lines)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: if a file of one of its lines is missing or malformed, or a phrase is blank; the line is named.
        """
        image, rows = self._images[require_index(index, len(self))]
        size = self._size(rows[0])
        found: dict[str, list[PackedMask]] = {}
        absent: dict[str, None] = {}
        for row in rows:
            phrase, mask = self.read_row(row, size)
            if mask is None:
                absent[phrase] = None
            else:
                found.setdefault(phrase, []).append(mask)
        if both := [phrase for phrase in absent if phrase in found]:
            line = next(row.line for row in rows if row.phrase.strip() == both[0] and not row.mask)
            raise self._bad(line, DataError(sentence(f"{both[0]!r} both there and not there", "one of both", _REMEDY)))
        queries = tuple(Query(TextPrompt(phrase), union(masks), phrase) for phrase, masks in found.items())
        return Sample(image, read_image(self._at(image), size), size, queries, tuple(absent))

    def read_row(self, row: CsvRow, size: Size | None = None) -> tuple[str, PackedMask | None]:
        """Return phrase and mask of a line; no mask where the object is absent.

        Args:
            row: The line.
            size: `(H, W)` of the image, if it is known already.

        Raises:
            DataError: If something about the line is wrong; the message names it.
        """
        try:
            phrase = TextPrompt(row.phrase).text
            if size is None:
                size = read_size(self._at(row.image))
            if not row.mask:
                return phrase, None
            path = self._at(row.mask)
            mask = read_mask(path, "a mask in black and white", _REMEDY)
            if mask.shape != size:
                problem = f"{mask.shape[0]} x {mask.shape[1]} pixels (height x width)"
                raise malformed(path, f"a mask of its image's size, {size[0]} x {size[1]}", problem, _REMEDY)
            if not mask.any():
                raise malformed(path, "a mask with a white pixel", "nothing in it", "leave the column mask empty")
        except WordmaskError as error:
            raise self._bad(row.line, error) from error
        return phrase, pack(mask)

    def _leave_out(self) -> None:
        """Read every line; leave out and list those in which something is wrong."""
        kept, problems = [], []
        for row in self.rows:
            try:
                self.read_row(row)
            except DataError as error:
                problems.append(str(error))
            else:
                kept.append(row)
        if not kept:
            require_sound(tuple(problems))
        self.rows, self.problems = tuple(kept), tuple(problems)

    def _size(self, row: CsvRow) -> Size:
        try:
            return read_size(self._at(row.image), remedy=_REMEDY)
        except DataError as error:
            raise self._bad(row.line, error) from error

    def _at(self, path: str) -> Path:
        return self.path.parent / path

    def _bad(self, line: int, error: WordmaskError) -> DataError:
        """Return an error with the line in it."""
        return DataError(f"Got in line {line} of {show(self.path)} {str(error).removeprefix('Got ')}")


def _rows(path: Path) -> list[CsvRow]:
    try:
        text = read_bytes(path, _WHAT).decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines(keepends=True), strict=True, skipinitialspace=True)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise malformed(path, _WHAT, f"no column {missing[0]!r} in its first line", "name the columns there")
        return [CsvRow(reader.line_num, *((record[column] or "").strip() for column in COLUMNS)) for record in reader]
    except UnicodeDecodeError as error:
        raise malformed(path, _WHAT, "bytes that are no text", "save it as UTF-8") from error
    except csv.Error as error:
        raise malformed(path, _WHAT, f"damage ({error})", "save it as CSV with commas") from error


def _chosen(rows: list[CsvRow], keys: tuple[str, ...] | None, path: Path) -> tuple[CsvRow, ...]:
    """Return the lines of the images asked for, in the order of the keys."""
    if keys is None:
        return tuple(rows)
    by_key: dict[str, list[CsvRow]] = {}
    for row in rows:
        for key in {row.image, Path(row.image).stem}:
            by_key.setdefault(key, []).append(row)
    missing = [key for key in keys if key not in by_key]
    if missing:
        got = f"no line for {missing[0]!r} in {show(path)}"
        raise DataError(sentence(got, "a line for every image asked for", "correct the list of images"))
    return tuple(row for key in keys for row in by_key[key])
