"""Read TAS models: bundles of parts whose config.json holds the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import read_json
from wordmask.contracts import ProposalSource
from wordmask.errors import CheckpointError, DataError, quote, sentence
from wordmask.methods.compact import load_compact
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.pmp.embedded.model import ProposalModel
from wordmask.methods.pmp.embedded.segmenter import ProposalSegmenter
from wordmask.methods.pmp.embedded.weights import load_proposals
from wordmask.methods.tas.automatic_masks import AutomaticMasks, GridSettings
from wordmask.methods.tas.crop_regions import ClipRegions
from wordmask.methods.tas.embedded import CompactRegions, VocabularyParts
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.methods.tas.settings import TasSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from wordmask.contracts import ProposalSource
    from wordmask.methods.dense import DenseSegmenter

__all__ = ["load_tas", "load_tas_compact", "read_settings"]

SOURCES = ("crops", "tokens")
"""How CLIP sees a region (`methods.tas.crop_regions`)."""


def load_tas(folder: Path, *, parts: Mapping[str, Path], device: torch.device, dtype: torch.dtype) -> TasSegmenter:
    """Load TAS on published systems.

    Args:
        folder: With config.json: `settings`, `grid` (`GridSettings`) and `regions_from` ("crops" or "tokens").
        parts: `proposals`, a SAM; `clip`; and `captioner`, a BLIP, BLIP-2 or Florence-2, which may be missing.
        device: Where to run.
        dtype: In which precision.

    Raises:
        ModelNotFoundError: If files of a part are missing.
        CheckpointError: If the config or a part is damaged.
    """
    from wordmask.backbones.captioner import load_captioner
    from wordmask.backbones.clip.pretrained import load_clip
    from wordmask.backbones.sam_points import load_sam_points

    config = read_json(folder / "config.json")
    settings = read_settings(folder, config)
    if missing := sorted({"proposals", "clip"} - parts.keys()):
        got = f"no part {', '.join(map(quote, missing))} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, "the parts proposals and clip", "correct config.json"))
    grid, seen = _grid(folder, config), config.get("regions_from", "crops")
    if seen not in SOURCES:
        got = f"regions_from {quote(seen)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, " or ".join(SOURCES), "correct config.json"))
    source = AutomaticMasks(load_sam_points(parts["proposals"], device=device, dtype=dtype), grid)
    clip = load_clip(parts["clip"], device=device, dtype=dtype)
    captioner = load_captioner(parts["captioner"], device=device, dtype=dtype) if "captioner" in parts else None
    name = str(config.get("name", folder.name))
    model = ClipRegions(name, source, clip, captioner, keep=settings.filter, regions_from=seen)
    return TasSegmenter(model, settings, device=device, dtype=dtype)


def load_tas_compact(
    folder: Path, *, parts: Mapping[str, Path], device: torch.device, dtype: torch.dtype
) -> TasSegmenter:
    """Load TAS on a compact network.

    Args:
        folder: With config.json: `settings`, and `names`, the vocabulary of the captions.
        parts: `trunk`, a folder of a compact network, and perhaps `proposals`, a query decoder on it (embedded PMP).
        device: Where to run.
        dtype: In which precision.

    Raises:
        CheckpointError: If the config or a part is damaged.
    """
    config = read_json(folder / "config.json")
    settings, names = read_settings(folder, config), config.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        got = f"names {quote(names)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, "a list of names", "correct config.json"))
    trunk = _trunk(parts, device=device, dtype=dtype)
    network = trunk.model.compact if isinstance(trunk.model, ProposalModel) else trunk.model
    assert isinstance(network, CompactModel)
    vocabulary = tuple(names)
    sources: list[ProposalSource] = [VocabularyParts(trunk, network, vocabulary)]
    if isinstance(trunk, ProposalSegmenter):
        sources.insert(0, trunk)
    name = f"{config.get('name', folder.name)}-{trunk.name}"
    model = CompactRegions(name, trunk, network, sources, names=vocabulary, keep=settings.filter)
    return TasSegmenter(model, settings, device=device, dtype=dtype)


def _trunk(parts: Mapping[str, Path], *, device: torch.device, dtype: torch.dtype) -> DenseSegmenter:
    """The compact network, with a query decoder where the bundle names one."""
    if "proposals" in parts:
        folder, trunk = parts["proposals"], {"trunk": parts["trunk"]}
        return load_proposals(folder, device=device, dtype=dtype, parts=trunk)
    return load_compact(parts["trunk"], device=device, dtype=dtype)


def _grid(folder: Path, config: Mapping[str, Any]) -> GridSettings:
    try:
        return GridSettings(**config.get("grid", {}))
    except (DataError, TypeError) as error:
        got = f"grid in {quote(folder / 'config.json')} ({error})"
        raise CheckpointError(sentence(got, "settings of mask generation", "correct config.json")) from error


def read_settings(folder: Path, config: Mapping[str, Any]) -> TasSettings:
    """Return the settings in a config.

    Raises:
        CheckpointError: If there is an unknown one, or a value out of range.
    """
    try:
        return TasSettings(**config.get("settings", {}))
    except (DataError, TypeError) as error:
        got = f"settings in {quote(folder / 'config.json')} ({error})"
        raise CheckpointError(sentence(got, "those of TAS", "correct config.json")) from error
