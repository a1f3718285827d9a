"""A file of COCO annotations that runs add to, one after the other or at once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from wordmask.errors import OutputError, quote, sentence
from wordmask.formats.coco import CocoAnnotations, CocoEntry
from wordmask.formats.lock import locked_file
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from wordmask.formats.named_mask import AnnotatedImage

OnExisting: TypeAlias = Literal["append", "replace", "skip"]
"""What is done with an image that has results already: append phrases (those that it has are renewed), replace all that
is there about it, or skip it where every phrase is there."""
_PATIENCE = 60.0  # seconds to wait for another process that writes the same file
_INTERVAL = 30.0  # seconds between two writings while images are added: a run that is killed loses no more


def checked_on_existing(value: str) -> OnExisting:
    """Return the value, or raise OutputError if it is none."""
    for choice in get_args(OnExisting):
        if value == choice:
            return value  # type: ignore[return-value]
    expected = f"one of {', '.join(get_args(OnExisting))}"
    raise OutputError(sentence(f"{quote(value)} for results that exist", expected, "choose one of these"))


class CocoFile:
    """Adds images to a file of annotations. What is in it about other images stays.

    The file is read, changed and replaced under a lock, so that several processes may write it.

    Args:
        path: The file.
        on_existing: What is done with images that are in it.

    Raises:
        OutputError: If something else than wordmask wrote the file, or it cannot be read.
    """

    def __init__(self, path: Path, *, on_existing: str = "append") -> None:
        self.path = path
        self.on_existing = checked_on_existing(on_existing)
        self.known = CocoAnnotations.read(path)
        self._pending: list[CocoEntry] = []
        self._written = time.monotonic()

    @property
    def is_replacing(self) -> bool:
        """Whether all that is there about an image is dropped when it is added."""
        return self.on_existing == "replace"

    def name_of(self, path: str | None, name: str | None) -> str:
        """Return the `file_name` of an image: one name for one file, another for every other.

        Args:
            path: Where the image came from; None for one from memory, which never is one that is in the file.
            name: What it is called otherwise.
        """
        if path is None:
            return self.known.free_name(name)
        if path.startswith("sample:") or "://" in path:
            return path
        place = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        try:
            relative = os.path.relpath(place, self._root(place))
        except ValueError:  # another drive
            relative = place
        return os.fsencode(Path(relative).as_posix()).decode("utf-8", "backslashreplace")

    def _root(self, place: str) -> str:
        """Return the folder that file names start from; the first image decides."""
        home = os.path.realpath(self.path.parent)
        if self.known.image_root is None:
            folders = (home, os.getcwd(), os.path.dirname(place))
            root = next(folder for folder in folders if Path(place).is_relative_to(folder))
            self.known.image_root = Path(os.path.relpath(root, home)).as_posix()
        return os.path.realpath(os.path.join(home, self.known.image_root))

    def is_done(self, name: str, phrases: Iterable[str]) -> bool:
        """Whether an image is to be skipped: all phrases are there already."""
        if self.on_existing != "skip":
            return False
        there = {fold_phrase(phrase) for phrase in self.known.record(name).get("presence", {})}
        return name in self.known and there >= {fold_phrase(phrase) for phrase in phrases}

    def add(self, image: AnnotatedImage, name: str, files: Mapping[str, Any] | None = None) -> None:
        """Add an image; the file is written from time to time, and by `write`.

        Args:
            image: Masks.
            name: Its `file_name`, from `name_of`.
            files: More fields of its record: the files that were written for it.
        """
        entry = CocoEntry.of(image, name, files)
        self.known.add(entry, replace=self.is_replacing)
        self._pending.append(entry)
        if time.monotonic() - self._written > _INTERVAL:
            self.write()

    def write(self) -> Path | None:
        """Write what was added, and return the file; None when nothing was added since the last time.

        Raises:
            OutputError: If the file cannot be written, or another process holds it for longer than a minute.
        """
        if not self._pending:
            return None
        with locked_file(self.path.with_name(f".{self.path.name}.lock"), wait=_PATIENCE):
            current = CocoAnnotations.read(self.path)
            current.image_root = current.image_root or self.known.image_root
            for entry in self._pending:
                current.add(entry, replace=self.is_replacing)
            current.save(self.path)
        self._pending.clear()
        self._written = time.monotonic()
        return self.path
