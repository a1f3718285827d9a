"""What a result depends on beside the data: the model's very weights, and the versions of what computed it."""

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


def checksum(path: Path) -> str:
    """Return the first 16 digits of a SHA-256 over a model's files: weights, configuration and vocabulary.

    Cards, pictures and other files beside them do not count, nor does where the folder lies.
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
    """Return the commit that a hub's cache keeps a model under; None for other folders."""
    found = _SNAPSHOT.search(str(path))
    return found[1] if found else None


def command_line(command: str, options: Mapping[str, object], words: tuple[str, ...] = ()) -> str:
    """Return the command that repeats a run: options that are None are left out, True becomes a bare flag."""
    parts = ["wordmask", command, *words]
    for name, value in options.items():
        if value is None or value is False:
            continue
        parts.append(f"--{name}")
        if value is not True:
            parts.append(str(value))
    return shlex.join(parts)
