"""The crop network in the package as a refiner of any segmenter's masks."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.backbones.crop.weights import load_crop_network
from wordmask.checkpoints import read_json
from wordmask.checkpoints.bundles import read_parts
from wordmask.components.refiner import CropRefiner, RefinerSettings
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.compact import load_compact

if TYPE_CHECKING:
    import torch

__all__ = ["EMBEDDED", "embedded_refiner", "load_refiner", "read_settings", "trunk_of"]

EMBEDDED = Path(__file__).parents[2] / "weights" / "imss"
"""The weights in the package."""


def read_settings(folder: Path, group: str = "refine") -> RefinerSettings:
    """Return the settings of a group in a folder's config.json.

    Raises:
        CheckpointError: If a value has no such name or is no number.
    """
    values: Any = read_json(folder / "config.json").get(group, {})
    known = {field.name for field in fields(RefinerSettings)}
    if not isinstance(values, dict) or not all(
        name in known and isinstance(v, int | float) for name, v in values.items()
    ):
        got = f"{group} {quote(values)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, f"numbers for some of {', '.join(sorted(known))}", "save the model again"))
    return RefinerSettings(**values)


def trunk_of(folder: Path) -> Path:
    """Return the folder of the compact network that a bundle names as its part "trunk".

    Raises:
        ModelNotFoundError: There is no config.json.
        CheckpointError: It names no such folder.
    """
    paths = [part.path for part in read_parts(folder) if part.role == "trunk" and part.path is not None]
    if not paths:
        got = f"no local folder as the part 'trunk' in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, '{"trunk": {"path": FOLDER}}', "correct config.json"))
    return paths[0]


def load_refiner(folder: Path, *, device: torch.device | str = "cpu") -> CropRefiner:
    """Load the crop network of a bundle, and the encoder of its trunk, as a refiner that is told no phrase.

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged.
    """
    encoder = load_compact(trunk_of(folder), device=device).model.image_encoder  # type: ignore[attr-defined]
    return CropRefiner(load_crop_network(folder, device=device), encoder, read_settings(folder), device=device)


@lru_cache(maxsize=4)
def embedded_refiner(device: str = "cpu") -> CropRefiner:
    """Return the refiner of the weights in the package; loaded once for each device."""
    return load_refiner(EMBEDDED, device=device)
