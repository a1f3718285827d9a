"""Fingerprint of a model: a hash of its files and those of its parts, without loading them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints.bundles import open_parts
from wordmask.checkpoints.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["fingerprint"]

_SUFFIXES = (".json", ".safetensors", ".bin", ".pth", ".txt")
_FOR_PEOPLE = ("card.json", "run.json")
_BLOCK = 1 << 20


def fingerprint(place: Path, *, fetch: Callable[..., Path]) -> str:
    """Return a hash of the files that a model's answers depend on.

    Args:
        place: A model's folder, or a single weight file.
        fetch: Called as `fetch(hub, revision=...)` for the parts of a bundle (`backbones.hub.fetch_checkpoint`).

    Raises:
        ModelNotFoundError: If a file or a part is missing.
    """
    state = hashlib.sha256()
    for path in _files_of(place, fetch):
        state.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
    return state.hexdigest()[:24]


def _files_of(place: Path, fetch: Callable[..., Path]) -> list[Path]:
    if place.is_file():
        return [place]
    found = (path for path in place.iterdir() if path.is_file() and path.suffix in _SUFFIXES)
    files = sorted(path for path in found if path.name not in _FOR_PEOPLE)
    if "parts" in _config(place):
        for part in open_parts(place, fetch=fetch).values():
            files += _files_of(part, fetch)
    return files


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json(path) if path.is_file() else {}
