"""Read region segmenters from bundles: a detector, a vision model and, where there is one, a resolver."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.grounding_dino import KINDS, load_grounding_dino
from wordmask.backbones.owlv2 import load_owlv2
from wordmask.backbones.sam import load_sam
from wordmask.backbones.sam.hq import load_sam_hq
from wordmask.backbones.sam2 import load_sam2
from wordmask.checkpoints import checksum, read_json
from wordmask.errors import CheckpointError, DataError, quote, sentence
from wordmask.methods.imss.hosts import SamHost
from wordmask.methods.imss.losi import Isolation
from wordmask.methods.imss.other_hosts import Sam2Host, SamHqHost
from wordmask.methods.imss.resolved import ResolvedSamHost, read_resolver
from wordmask.methods.imss.segmenter import RegionSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wordmask.contracts import Detector
    from wordmask.methods.imss.hosts import BoxHost

__all__ = ["load_regions", "open_detector", "open_host"]


SAM2_KINDS = ("sam2", "sam2_video")
"""The published folders hold the weights of the video model, too, and are named after it."""


def load_regions(
    folder: Path, *, parts: Mapping[str, Path], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> RegionSegmenter:
    """Read a bundle whose parts are a `detector` and a `segmenter`.

    Args:
        folder: The bundle; `isolation` in its config.json holds values of `Isolation`.
        parts: A local folder for each role.
        device: Where the networks run.
        dtype: Their precision; coordinates of boxes are float32.

    Raises:
        CheckpointError: If a part is missing, damaged or of an unknown kind.
        ModelNotFoundError: If a part lacks files.
    """
    for role in ("detector", "segmenter"):
        if role not in parts:
            got = f"the bundle {quote(folder)} with the parts {', '.join(parts)}"
            raise CheckpointError(sentence(got, "a detector and a segmenter", "correct its config.json"))
    isolation = read_isolation(read_json(folder / "config.json").get("isolation", {}), folder)
    if isolation.zoom == "auto" and not _zooms(parts.get("resolver")):
        isolation = replace(isolation, zoom="off")
    detector = open_detector(parts["detector"], device=device, dtype=dtype)
    host = open_host(parts["segmenter"], device=device, dtype=dtype, name=folder.name, resolver=parts.get("resolver"))
    return RegionSegmenter(detector, host, isolation=isolation, device=device, dtype=dtype)


def read_isolation(values: Any, folder: Path) -> Isolation:
    """Return the settings in a bundle's config.json.

    Raises:
        CheckpointError: If they do not fit.
    """
    known = {field.name for field in fields(Isolation)}
    unknown = sorted(set(values) - known) if isinstance(values, dict) else ["isolation"]
    try:
        if unknown:
            raise DataError(f"unknown values {', '.join(unknown)}")
        return Isolation(**values)
    except DataError as error:
        got = f"the isolation settings of {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, f"some of {', '.join(sorted(known))}", "correct config.json")) from error


def open_detector(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Detector:
    """Read a detector by the `model_type` of its folder.

    Raises:
        CheckpointError: If it is of an unknown kind or damaged.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind in KINDS:
        return load_grounding_dino(folder, device=device, dtype=dtype)
    if kind == "owlv2":
        return load_owlv2(folder, device=device, dtype=dtype)
    got = f"a detector of model_type {quote(kind)} in {quote(folder)}"
    raise CheckpointError(sentence(got, f"one of {', '.join(KINDS)}, owlv2", "name another part"))


def open_host(
    folder: Path, *, device: torch.device | str, dtype: torch.dtype, name: str, resolver: Path | None = None
) -> BoxHost:
    """Read a vision model with a mask decoder by the `model_type` of its folder.

    Args:
        folder: Of the vision model.
        device: Where it runs.
        dtype: Its precision.
        name: Beginning of its name in messages.
        resolver: Folder of a trained resolver; None uses the vision model as it is.

    Raises:
        CheckpointError: If it is of an unknown kind or damaged.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind == "sam":
        parts = load_sam(folder, device=device, dtype=dtype, with_levels=resolver is not None)
        value = checksum(parts.vision.state_dict().values(), each=1024)
        if resolver is None:
            return SamHost(parts, name=f"{name}-{value:08x}")
        trained = read_resolver(resolver, parts).to(device=device, dtype=dtype)
        value ^= checksum(trained.state_dict().values(), each=1024)
        return ResolvedSamHost(parts, trained, name=f"{name}-{value:08x}")
    if resolver is not None or kind not in ("sam_hq", *SAM2_KINDS):
        got = f"a vision model of model_type {quote(kind)} in {quote(folder)}"
        expected = "sam, for a resolver" if resolver is not None else "sam, sam_hq or sam2"
        raise CheckpointError(sentence(got, expected, "name another part"))
    if kind in SAM2_KINDS:
        model = load_sam2(folder, device=device, dtype=dtype)
        return Sam2Host(model, name=f"{name}-{checksum(model.model.state_dict().values(), each=1024):08x}")
    parts = load_sam_hq(folder, device=device, dtype=dtype)
    return SamHqHost(parts, name=f"{name}-{checksum(parts.decoder.state_dict().values(), each=1024):08x}")


def _zooms(resolver: Path | None) -> bool:
    """Whether a resolver was trained with windows round small boxes."""
    return resolver is not None and read_json(resolver / "config.json").get("zoom") is True
