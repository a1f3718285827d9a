"""Load two-stage models: bundles of a published host and a CLIP, and hosts with trained text attention."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from wordmask.backbones.clip.pair import read_clip
from wordmask.backbones.query_hosts.pixel_decoder import use_fast_sampling
from wordmask.backbones.query_hosts.reading import build_host, read_host
from wordmask.checkpoints import brief, read_json
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.device import choose_device, choose_dtype
from wordmask.errors import CheckpointError, DataError, quote, sentence
from wordmask.methods.pmp.guided_host import GuidanceSettings, GuidedHost
from wordmask.methods.pmp.stage_two_settings import StageTwoSettings
from wordmask.methods.pmp.two_stage import TwoStageSegmenter
from wordmask.methods.pmp.two_stage_model import Pixels, TwoStageModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from wordmask.backbones.clip.pair import Clip

__all__ = ["GUIDED", "TWO_STAGE", "load_guided", "load_two_stage", "read_guided", "read_pixels"]

TWO_STAGE = "wordmask-two-stage"
"""The `model_type` of a bundle of a published host and a CLIP: the parts "host" and "clip"."""
GUIDED = "wordmask-pmp-host"
"""The `model_type` of a folder with a host whose text attention was trained: its part is "clip"."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIDES = (800, 1333)
"""Shorter and longer side of a host's input in pixels, where its preprocessor_config.json does not say."""


def load_two_stage(
    folder: Path, *, parts: Mapping[str, Path], device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> TwoStageSegmenter:  # fmt: skip
    """Load a bundle of a published host and a CLIP; the host's decoder is not guided.

    Args:
        folder: Its config.json may hold `settings`, the values of `StageTwoSettings`.
        parts: Local folders of "host" (Mask2Former, MaskFormer or EoMT of transformers) and "clip".
        device: Where to run; None chooses one.
        dtype: Precision of matrix products; None chooses the fastest that the device supports well.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    clip = read_clip(_part(folder, parts, "clip"))
    host = read_host(_part(folder, parts, "host"))
    guided = GuidedHost(host, GuidanceSettings(text_channels=clip.channels)).eval().requires_grad_(False)
    pixels = read_pixels(parts["host"])
    return _segmenter(folder, guided, clip, pixels, is_guided=False, device=device, dtype=dtype)


def load_guided(
    folder: Path, *, parts: Mapping[str, Path], device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> TwoStageSegmenter:  # fmt: skip
    """Load a host whose text attention was trained, as `wordmask train pmp` writes it, with its CLIP.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or do not belong together.
    """
    clip = read_clip(_part(folder, parts, "clip"))
    guided, pixels = read_guided(folder)
    if guided.settings.text_channels != clip.channels:
        got = f"a CLIP of {clip.channels} channels for {quote(folder)}"
        raise CheckpointError(sentence(got, f"{guided.settings.text_channels}", "name the CLIP it was trained with"))
    return _segmenter(folder, guided, clip, pixels, is_guided=True, device=device, dtype=dtype)


def read_guided(folder: Path) -> tuple[GuidedHost, Pixels]:
    """Read a trained host with its text attention, on the CPU, frozen, and the preparation of its pixels.

    Raises:
        CheckpointError: If the folder is damaged.
    """
    values = read_json(folder / "config.json")
    settings = _settings(GuidanceSettings, values.get("guidance"), folder)
    host = build_host(values.get("host") or {}, None if settings.position == "host" else settings.position)
    guided = GuidedHost(host, settings)
    if values["host"].get("model_type") == "mask2former":
        use_fast_sampling(host.model)
    try:
        host.model.load_state_dict(read_weights(find_weights(folder)))
    except RuntimeError as error:
        got = f"weights in {quote(folder)} that are not those of its config.json ({brief(error)})"
        raise CheckpointError(sentence(got, "all of them", "fetch or save the model again")) from error
    return guided.eval().requires_grad_(False), _pixels(values.get("pixels") or {}, folder)


def read_pixels(folder: Path) -> Pixels:
    """Read how a published folder prepares images; ImageNet's statistics stand in for what it leaves out.

    Raises:
        CheckpointError: If preprocessor_config.json gives impossible values.
    """
    path = folder / "preprocessor_config.json"
    return _pixels(read_json(path) if path.is_file() else {}, folder)


def _pixels(values: Mapping[str, Any], folder: Path) -> Pixels:
    size = values.get("size", {})
    try:
        if isinstance(size, int):
            short, long = size, int(values.get("max_size", size * SIDES[1] // SIDES[0]))
        else:
            short = int(size.get("shortest_edge") or size.get("height") or SIDES[0])
            long = int(size.get("longest_edge") or size.get("width") or max(short, SIDES[1]))
        mean, std = (
            tuple(map(float, values.get(k, d))) for k, d in zip(("image_mean", "image_std"), IMAGENET, strict=True)
        )
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or not 0 < short <= long <= 8192:
            raise ValueError("three positive deviations, and 0 < shorter side <= longer side")
    except (TypeError, ValueError, AttributeError) as error:
        got = f"a damaged preparation of pixels in {quote(folder)} ({brief(error)})"
        raise CheckpointError(sentence(got, "image_mean, image_std and size", "fetch it again")) from error
    return Pixels((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), short, long)


def _segmenter(
    folder: Path, guided: GuidedHost, clip: Clip, pixels: Pixels, *, is_guided: bool,
    device: str | torch.device | None, dtype: str | torch.dtype | None,
) -> TwoStageSegmenter:  # fmt: skip
    chosen = choose_device(device)
    kind = choose_dtype(dtype, chosen)
    settings = _settings(StageTwoSettings, read_json(folder / "config.json").get("settings"), folder)
    pixels = pixels._replace(short=settings.short_side or pixels.short, long=settings.long_side or pixels.long)
    name = f"{folder.name}-{_checksum(guided):08x}"
    model = TwoStageModel(
        guided.to(chosen), clip.to(chosen, kind), settings, pixels, name=name, is_guided=is_guided
    )  # the host stays float32: sampling coordinates rounded to bfloat16 would be wrong by cells
    return TwoStageSegmenter(model, device=chosen, dtype=kind)


def _settings(kind: Any, values: object, folder: Path) -> Any:
    """Settings from a config.json, whose lists become tuples."""
    given = values if isinstance(values, dict) else {}
    known = kind.kinds()
    try:
        unknown = [name for name in given if name not in known]
        if unknown:
            raise DataError(sentence(f"the value {quote(unknown[0])}", f"one of {', '.join(known)}", "correct it"))
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    except DataError as error:
        raise CheckpointError(f"{quote(folder / 'config.json')}: {error}") from error


def _part(folder: Path, parts: Mapping[str, Path], role: str) -> Path:
    if role not in parts:
        got = f"the bundle {quote(folder)} without the part {quote(role)}"
        raise CheckpointError(sentence(got, "the parts of its kind", "correct its config.json"))
    return parts[role]


def _checksum(guided: GuidedHost) -> int:
    """A number that tells weights apart: of a few values of every tensor."""
    total = 0
    for name, tensor in sorted(guided.host.model.state_dict().items()):
        values = tensor.detach().flatten()[:: max(1, tensor.numel() // 16)].float().cpu().contiguous()
        total = zlib.crc32(name.encode() + values.numpy().tobytes(), total)
    return total
