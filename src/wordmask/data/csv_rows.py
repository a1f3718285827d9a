"""Read the lines of a CSV table of images, masks and phrases."""

from __future__ import annotations

import codecs
import csv
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.data.names import path_key
from wordmask.data.reading import malformed, read_bytes, show
from wordmask.errors import DataError, quote, sentence
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WHAT", "CsvRow", "in_line", "read_rows"]

COLUMNS = ("image", "mask", "phrase")
WHAT = "a table with the columns image, mask and phrase"
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class CsvRow:
    """One line of the table.

    Attributes:
        line: Its number, from 1; of a line that holds line breaks, that of its end.
        image: Path as written.
        mask: Path as written; "" where the object is known to be absent.
        phrase: As written.
        about: Image and phrase, the same for lines that mean the same: links are followed, case and blanks ignored.
    """

    line: int
    image: str
    mask: str
    phrase: str
    about: tuple[str, str]


def in_line(path: Path, line: int, problem: str) -> DataError:
    """Return an error about a line of a table, from the sentence about what is in it."""
    return DataError(f"Got in line {line} of {show(path)} {problem.removeprefix('Got ')}")


def read_rows(path: Path, *, skip_bad: bool) -> tuple[list[CsvRow], tuple[str, ...]]:
    """Return the lines of a table, and sentences about those with a cell too many or too few.

    Args:
        path: The table.
        skip_bad: Whether such lines are left out; otherwise the first is an error.

    Raises:
        DataError: If the file is no table, or lacks a column.
    """
    try:
        content = read_bytes(path, WHAT)
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
        text = content.decode("utf-16" if wide else "utf-8-sig")
        lines = _lines(text, path)
        columns = next(lines, (0, []))[1]
        places = [_place(columns, column, path) for column in COLUMNS]
        rows, problems = [], []
        known: dict[str, str] = {}
        for line, cells in lines:
            if not any(cells):
                continue
            if len(cells) <= max(places) or any(cells[len(columns) :]):
                problems.append(_miscounted(path, line, cells, columns))
                continue
            image, mask, phrase = (cells[place] for place in places)
            if image not in known:
                known[image] = _resolved(path.parent, image)
            rows.append(CsvRow(line, image, mask, phrase, (known[image], fold_phrase(phrase))))
    except UnicodeDecodeError as error:
        raise malformed(path, WHAT, "bytes that are no text", "save it as UTF-8") from error
    except csv.Error as error:
        raise malformed(path, WHAT, f"damage ({error})", "save it as CSV with commas") from error
    if problems and not skip_bad:
        raise DataError(problems[0])
    return rows, tuple(problems)


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of every line, blanks around them removed."""
    head = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)  # the first of them where there is none
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True, delimiter=delimiter)
    for cells in reader:
        if cells:
            yield reader.line_num, [cell.strip() for cell in cells]


def _place(columns: list[str], column: str, path: Path) -> int:
    """Return the place of a column; case does not matter."""
    places = [place for place, name in enumerate(columns) if fold_phrase(name) == column]
    if len(places) != 1:
        problem = f"{len(places) or 'no'} column{'s' if places else ''} {column!r} in its first line"
        raise malformed(path, WHAT, problem, "name the columns there, each once")
    return places[0]


def _miscounted(path: Path, line: int, cells: list[str], columns: list[str]) -> str:
    expected = f"{len(columns)}, as in the first line"
    remedy = "put quotes around a cell that holds a comma, or correct the line"
    got = f"{len(cells)} cells ({quote(', '.join(cells))})"
    return str(in_line(path, line, sentence(got, expected, remedy)))


def _resolved(folder: Path, image: str) -> str:
    try:
        return os.path.realpath(folder / path_key(image))
    except (OSError, ValueError):
        return image
