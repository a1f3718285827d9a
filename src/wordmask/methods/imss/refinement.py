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
from wordmask.prompts import TextPrompt
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch import Tensor

    from wordmask.methods.dense import DenseSegmenter
    from wordmask.prompts import Prompt

__all__ = ["EMBEDDED", "KnownPhrases", "embedded_refiner", "load_refiner", "read_settings", "refiner_of", "trunk_of"]

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


class KnownPhrases:
    """Embeds the phrases that a crop network was trained with; it is told no others.

    Args:
        trunk: Whose text encoder is used.
        vocabulary: The phrases; None: all are known.
    """

    def __init__(self, trunk: DenseSegmenter, vocabulary: Iterable[str] | None) -> None:
        self.trunk = trunk
        self.vocabulary = None if vocabulary is None else frozenset(map(fold_phrase, vocabulary))

    def __call__(self, prompt: Prompt) -> Tensor | None:
        """Return the embedding (C,) of a phrase that is known, otherwise None."""
        if not isinstance(prompt, TextPrompt):
            return None
        if self.vocabulary is not None and fold_phrase(prompt.text) not in self.vocabulary:
            return None
        return self.trunk.prompt_cache.embeddings([prompt.text])[0]


def read_vocabulary(folder: Path) -> tuple[str, ...] | None:
    """Return the phrases that a folder's crop network was trained with; None where config.json does not say.

    Raises:
        CheckpointError: If they are no list of strings.
    """
    names: Any = read_json(folder / "config.json").get("vocabulary")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        got = f"vocabulary {quote(names)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, "a list of phrases", "save the model again"))
    return tuple(names)


def refiner_of(
    folder: Path, trunk: DenseSegmenter, group: str = "refine", *, device: torch.device | str = "cpu"
) -> CropRefiner:
    """Return a bundle's crop network on a trunk in float32, with the settings of a group.

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged.
    """
    encoder = trunk.model.image_encoder  # type: ignore[attr-defined]
    embed = KnownPhrases(trunk, read_vocabulary(folder))
    network = load_crop_network(folder, device=device)
    return CropRefiner(network, encoder, read_settings(folder, group), embed=embed, device=device)


def load_refiner(folder: Path, group: str = "refine", *, device: torch.device | str = "cpu") -> CropRefiner:
    """Load the crop network of a bundle, on its trunk, as a refiner of any segmenter's masks; settings of a group.

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged.
    """
    return refiner_of(folder, load_compact(trunk_of(folder), device=device), group, device=device)


@lru_cache(maxsize=4)
def embedded_refiner(device: str = "cpu") -> CropRefiner:
    """Return the refiner of the weights in the package; loaded once for each device."""
    return load_refiner(EMBEDDED, device=device)
