"""Provenance of a result: checksum and revision of the model, and the command that repeats the run."""

from __future__ import annotations

import hashlib
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["checksum", "command_line", "revision_of"]

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".json", ".txt", ".model"}
_SNAPSHOT = re.compile(r"snapshots[/\\]([0-9a-f]{40})\b")
_BLOCK = 1 << 20
_DEFAULTS = {"task": "masks", "device": "auto", "dtype": "auto"}


def checksum(path: Path) -> str:
    """Return the first 16 digits of a SHA-256 over a model's files: weights, configuration and vocabulary.

    Cards, images and other files beside them do not count, nor does the folder's place.
    """
    files = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.suffix in _WEIGHTS)
    total = hashlib.sha256()
    for file in files:
        if file.name == "card.json" or not file.is_file():
            continue
        total.update((file.name if path.is_file() else file.relative_to(path).as_posix()).encode() + b"\0")
        total.update(_digest(file))
    return total.hexdigest()[:16]


def _digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def revision_of(path: Path) -> str | None:
    """Return the commit in a path of the hub's cache; None for other folders."""
    found = _SNAPSHOT.search(str(path))
    return found[1] if found else None


def command_line(command: str, options: Mapping[str, object], words: tuple[str, ...] = ()) -> str:
    """Return the command that repeats a run: options at their default are left out, True becomes a bare flag."""
    parts = ["wordmask", command, *words]
    for name, value in options.items():
        if value is None or value is False or _DEFAULTS.get(name) == value:
            continue
        parts.append(f"--{name}")
        if value is not True:
            parts.append(str(value))
    return shlex.join(parts)
