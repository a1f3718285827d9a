"""Reader for a CSV table: each line names an image, a mask and a phrase.

    pairs.csv           image,mask,phrase
                        photos/a.jpg,masks/a-cup.png,the red cup
                        photos/a.jpg,masks/a-handle.png,handle
                        photos/a.jpg,,a spoon

Paths start from the table's folder. A mask is an image in black and white, white where the object is, or of two values
(`mask_files.read_mask`), of the size of its photograph when that is upright. Lines with the same image and phrase add
up. A line without a mask says that nothing in the image is called so. Case and blanks make no other phrase, `./` no
other image. Cells are set apart by commas, semicolons, tabs or bars, whichever the first line has; text is UTF-8;
further columns are not read. Licence, size and origin are those of your own data.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from wordmask.data.csv_rows import WHAT, CsvRow, in_line, read_rows
from wordmask.data.keys import chosen_keys
from wordmask.data.mask_files import read_mask
from wordmask.data.names import path_key
from wordmask.data.problems import NOTHING_LEFT, require_sound
from wordmask.data.reading import fingerprint, malformed, read_image, read_size, require_file, require_index, show
from wordmask.data.sample import Query, Sample
from wordmask.errors import DataError, WordmaskError, quote, sentence
from wordmask.ops.masks import pack, union
from wordmask.prompts import TextPrompt
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask

__all__ = ["CsvTable"]

_REMEDY = "correct the line, or take it out"
_EMPTY = "draw the object, or take the line out; only a line without a mask says that there is none in the image"


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
        self.path = require_file(table, WHAT)
        rows, problems = read_rows(self.path, skip_bad=skip_bad)
        chosen, missing = chosen_keys(_by_image(rows), keys, show(self.path), skip_bad=skip_bad)
        self.problems: tuple[str, ...] = (*problems, *missing)
        self.rows = tuple(row for rows in chosen.values() for row in rows)
        if skip_bad:
            self._leave_out()
        if not self.rows:
            require_sound(self.problems, NOTHING_LEFT)
            raise malformed(self.path, WHAT, "no line that is left", "add a line for every mask")
        self._images = tuple(_by_image(self.rows).items())

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
        key, rows = self._images[require_index(index, len(self))]
        size = self._size(rows[0])
        found: dict[str, tuple[str, list[PackedMask]]] = {}
        absent: dict[str, str] = {}
        for row in rows:
            phrase, mask = self.read_row(row, size)
            if mask is None:
                absent.setdefault(fold_phrase(phrase), phrase)
            else:
                found.setdefault(fold_phrase(phrase), (phrase, []))[1].append(mask)
        if problems := _contradictions(self.path, rows):
            raise DataError(problems[0])
        queries = tuple(Query(TextPrompt(phrase), union(masks), phrase) for phrase, masks in found.values())
        path = self._at(rows[0].image)
        return Sample(key, read_image(path, size, remedy=_REMEDY), size, queries, tuple(absent.values()))

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
                raise malformed(path, "a mask of an object", "nothing in it", _EMPTY)
        except WordmaskError as error:
            raise self._bad(row.line, error) from error
        return phrase, pack(mask)

    def _leave_out(self) -> None:
        """Read every line; leave out and list those in which something is wrong.

        With a line, the others of its phrase and image are left out: without it their mask may not be whole.
        """
        bad, problems = set(), []
        for row in self.rows:
            try:
                self.read_row(row)
            except DataError as error:
                problems.append(str(error))
                bad.add(row.about)
        by_image: dict[str, list[CsvRow]] = {}
        for row in self.rows:
            by_image.setdefault(row.about[0], []).append(row)
        for rows in by_image.values():
            rows = [row for row in rows if row.about not in bad]
            problems += _contradictions(self.path, rows)
            bad |= _both(rows)
        self.rows = tuple(row for row in self.rows if row.about not in bad)
        self.problems = (*self.problems, *problems)
        if not self.rows:
            require_sound(self.problems, NOTHING_LEFT)

    def _size(self, row: CsvRow) -> Size:
        try:
            return read_size(self._at(row.image), remedy=_REMEDY)
        except DataError as error:
            raise self._bad(row.line, error) from error

    def _at(self, path: str) -> Path:
        return self.path.parent / path

    def _bad(self, line: int, error: WordmaskError) -> DataError:
        return in_line(self.path, line, str(error))


def _by_image(rows: Iterable[CsvRow]) -> dict[str, list[CsvRow]]:
    """Return lines by the key of their image: its path as the first line writes it, without `./`."""
    keys: dict[str, str] = {}
    images: dict[str, list[CsvRow]] = {}
    for row in rows:
        images.setdefault(keys.setdefault(row.about[0], path_key(row.image)), []).append(row)
    return images


def _both(rows: Iterable[CsvRow]) -> set[tuple[str, str]]:
    """Return what lines say to be in an image and not to be in it."""
    return {row.about for row in rows if row.mask} & {row.about for row in rows if not row.mask}


def _contradictions(path: Path, rows: Sequence[CsvRow]) -> list[str]:
    """Return a sentence about every phrase that some lines of an image say to be there, and others not to be."""
    problems = []
    for about in sorted(_both(rows)):
        first = next(row for row in rows if row.about == about and not row.mask)
        other = next(row for row in rows if row.about == about and row.mask)
        got = f"{quote(first.phrase)} both there (line {other.line}) and not there"
        problems.append(str(in_line(path, first.line, sentence(got, "one of both", _REMEDY))))
    return problems
