"""Models made of several checkpoints: a folder whose config.json names its parts.

    {
      "model_type": "wordmask-NAME",
      "parts": {
        "proposals": {"hub": "owner/name", "revision": "COMMIT", "bytes": 375000000, "licence": "Apache-2.0"},
        "text": {"path": "text"}
      }
    }

A part is a hub id at a revision, or a path relative to the folder. `bytes` and `licence` are for `wordmask models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints.files import read_json
from wordmask.errors import CheckpointError, ModelNotFoundError, OfflineError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Part", "open_parts", "read_parts"]


@dataclass(frozen=True)
class Part:
    """One checkpoint of a model.

    Attributes:
        role: What the method calls it, such as "proposals".
        hub: Hub id, or None for a local folder.
        revision: Branch, tag or commit of a hub id; None is the default branch.
        path: Local folder (or file), or None for a hub id.
        bytes: Size of the download; None where it is not known.
        licence: Licence of the weights, as SPDX writes it; None where it is not known.
    """

    role: str
    hub: str | None = None
    revision: str | None = None
    path: Path | None = None
    bytes: int | None = None
    licence: str | None = None


def read_parts(folder: Path) -> tuple[Part, ...]:
    """Return the parts that a bundle's config.json names, in order; nothing is fetched.

    Raises:
        ModelNotFoundError: If there is no config.json.
        CheckpointError: If it is damaged, or a part is neither a hub id nor a path.
    """
    parts = read_json(folder / "config.json").get("parts")
    if not isinstance(parts, dict) or not parts:
        got = f"parts {quote(parts)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, "an object of parts by their role", "correct config.json"))
    return tuple(_part(folder, role, content) for role, content in parts.items())


def _part(folder: Path, role: str, content: Any) -> Part:
    entry: Mapping[str, Any] = content if isinstance(content, dict) else {}
    hub, path = entry.get("hub"), entry.get("path")
    if not (isinstance(hub, str) and path is None) and not (isinstance(path, str) and hub is None):
        got = f"the part {quote(role)} in {quote(folder / 'config.json')}: {quote(content)}"
        raise CheckpointError(sentence(got, '{"hub": ID, "revision": COMMIT} or {"path": FOLDER}', "correct it"))
    local = None if path is None else folder / path
    return Part(role, hub, entry.get("revision"), local, entry.get("bytes"), entry.get("licence"))


def open_parts(folder: Path, *, fetch: Callable[..., Path]) -> dict[str, Path]:
    """Return a local folder (or file) for every part of a bundle, by role; hub ids are fetched.

    Args:
        folder: The bundle.
        fetch: Called as `fetch(hub, revision=...)`, returns a local folder (`backbones.hub.fetch_checkpoint`).

    Raises:
        ModelNotFoundError: If a part is missing; `OfflineError` if the hub cannot be reached.
        CheckpointError: If config.json is damaged.
    """
    return {part.role: _local(folder, part, fetch) for part in read_parts(folder)}


def _local(folder: Path, part: Part, fetch: Callable[..., Path]) -> Path:
    if part.path is not None:
        if part.path.exists():
            return part.path
        got = f"the model {quote(folder)}, whose part {quote(part.role)} is missing at {quote(part.path)}"
        raise ModelNotFoundError(sentence(got, "all of its parts", "copy the part there, or correct config.json"))
    try:
        return fetch(part.hub, revision=part.revision)
    except ModelNotFoundError as error:
        got = f"the model {quote(folder.name)}, whose part {quote(part.role)} ({part.hub}) could not be fetched"
        kind = OfflineError if isinstance(error, OfflineError) else ModelNotFoundError
        expected = "the part in the local cache, or the network" if kind is OfflineError else "a part that the hub has"
        remedy = "run the same command once with the network, or load 'compact', the weights in the package"
        raise kind(sentence(got, expected, remedy)) from error
