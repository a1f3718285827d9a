"""The records of a run on disk: one line of JSON a sample, appended whole, read back after an interruption."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wordmask.errors import DataError, OutputError, quote, sentence
from wordmask.formats.files import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Records", "encoded_json", "read_lines", "require_limit"]


class Records:
    """The lines of a run, in a folder of its own.

    `samples.jsonl` holds one line a sample, in the order of the data set. A line that a killed process has left
    unfinished is dropped with all behind it. `run.json` identifies the run: lines of another model, data set or
    protocol are never mixed with these.

    Attributes:
        folder: Where the files lie.
        done: Number of samples recorded.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Open a folder, new or with the beginning of the same run.

        Raises:
            OutputError: If it holds another run, or cannot be written.
        """
        self.folder = folder
        self._path = folder / "samples.jsonl"
        self._claim(encoded_json(identity), identity)
        self.done = self._repair()

    def _claim(self, content: bytes, identity: dict[str, Any]) -> None:
        owner = self.folder / "run.json"
        if not owner.is_file():
            if self._path.exists():
                got = f"the folder {quote(self.folder)} with samples of an unknown run"
                raise OutputError(sentence(got, "an empty folder", "choose another folder with --out"))
            write(owner, content)
            return
        try:
            known = json.loads(owner.read_bytes())
        except (OSError, ValueError):
            known = None
        if known != json.loads(content):
            got = f"the folder {quote(self.folder)} with another run ({_difference(known, identity)})"
            raise OutputError(sentence(got, "an empty folder, or the same run to go on with", "change --out"))

    def _repair(self) -> int:
        """Count the good lines from the start and cut the file behind them."""
        good, number = 0, 0
        if not self._path.exists():
            return 0
        with _reported(self._path), self._path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n") or _number(line) != number:
                    break
                good, number = good + len(line), number + 1
            file.truncate(good)
        return number

    @contextmanager
    def appending(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Yield a function that appends the record of the next sample.

        Raises:
            OutputError: If the file cannot be written.
        """
        with _reported(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

        def append(record: dict[str, Any]) -> None:
            line = _line(record, self.done)
            with _reported(self._path):  # one write a line: a killed process leaves at most one line unfinished
                while line:
                    line = line[os.write(descriptor, line) :]
            self.done += 1

        try:
            yield append
        finally:
            os.close(descriptor)

    def replace(self, records: dict[int, dict[str, Any]]) -> None:
        """Replace records by number; the file is written anew, atomically.

        Raises:
            OutputError: If the file cannot be written.
        """
        if not records:
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        for number, record in records.items():
            lines[number] = _line(record, number)
        write(self._path, b"".join(lines))

    def read(self, limit: int) -> Iterator[dict[str, Any]]:
        """Yield the first `limit` records, one at a time."""
        return read_lines(self._path, limit) if self.done else iter(())


def read_lines(path: Path, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the first `limit` records of a file, one at a time."""
    with path.open("rb") as file:
        for _, line in zip(range(limit), file, strict=False):
            record: dict[str, Any] = json.loads(line)
            yield record


def encoded_json(content: Any) -> bytes:
    """Encode JSON for people: indented, in the order given, with a final line break; `nan` becomes null."""
    return (json.dumps(_without_nan(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _line(record: dict[str, Any], number: int) -> bytes:
    text = json.dumps({"n": number} | record, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def _number(line: bytes) -> int | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    number = record.get("n") if isinstance(record, dict) else None
    return number if isinstance(number, int) else None


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _difference(known: Any, identity: dict[str, Any]) -> str:
    if not isinstance(known, dict):
        return "its run.json is damaged"
    names = [name for name in {**known, **identity} if known.get(name) != identity.get(name)]
    return f"it differs in {', '.join(names)}"


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        got = f"the file {quote(path)}, which cannot be written ({error.strerror or error})"
        raise OutputError(sentence(got, "a writable folder", "check permissions and free space")) from error


def require_limit(limit: int | None) -> None:
    """Check the number of samples that is asked for.

    Raises:
        DataError: If it is less than 1.
    """
    if limit is not None and limit < 1:
        raise DataError(sentence(f"the limit {limit}", "1 or more", "leave it away for all samples"))
