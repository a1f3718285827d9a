"""Load published and own CLIPSeg checkpoints."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.clip.weights import clip_weights
from wordmask.backbones.hub import fetch_checkpoint
from wordmask.backbones.packed_linear import can_pack_linears, pack_linears
from wordmask.checkpoints import brief, read_json
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.reading import find_weights, read_weights, under_prefix
from wordmask.checkpoints.strict import load_exactly
from wordmask.device import choose_device, choose_dtype
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.clipseg.checkpoint import TOWERS_PREFIX, TRAINED_WITH, Checkpoint, read_statistics
from wordmask.methods.clipseg.config import ClipSegConfig
from wordmask.methods.clipseg.key_map import UNUSED, decoder_from_transformers
from wordmask.methods.clipseg.model import ClipSeg, Fit, build_decoder
from wordmask.methods.clipseg.towers import build_towers
from wordmask.methods.dense import DenseSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Location = str | os.PathLike[str]

TOWERS = "openai/clip-vit-base-patch16"
"""The CLIP with which the original CLIPSeg decoders were trained."""


def load_clipseg(
    location: Location,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    towers: Location | None = None,
    extract_layers: tuple[int, ...] | None = None,
    size: int | None = None,
    fit: Fit = "squash",
) -> DenseSegmenter:
    """Load CLIPSeg from a folder that transformers or `save_clipseg` wrote, a hub id, or an original decoder file.

    An original decoder file holds no CLIP. A config.json beside it may name its location; then the folder can be loaded
    as well: {"model_type": "clipseg", "weights": "rd64-uni.pth", "towers": "openai/clip-vit-base-patch16"}.

    Args:
        location: A local folder with config.json, weights and tokenizer; a hub id such as
            "CIDAS/clipseg-rd64-refined"; or a decoder-only file (rd64-uni.pth, or the same as safetensors).
        device: Where to run; None chooses one.
        dtype: In which precision; None chooses the fastest that the device supports well.
        revision: Branch, tag or commit of a hub id.
        towers: For a decoder-only file: the folder or hub id of the CLIP it belongs to, as transformers saves it;
            None takes the one in the config.json beside it, or else "openai/clip-vit-base-patch16".
        extract_layers: Encoder blocks whose activations are decoded, in place of the checkpoint's own (see
            `ClipSegConfig`).
        size: Longer side of the canvas in pixels, in place of the checkpoint's own.
        fit: How images that are not square are placed on the canvas, see `ClipSeg`.

    Raises:
        ModelNotFoundError: If files are not there; OfflineError if a hub cannot be asked.
        CheckpointError: If files are damaged or do not fit together.
        DeviceError: If this machine lacks the device or type.
    """
    chosen = choose_device(device)
    kind = choose_dtype(dtype, chosen)
    path = local_folder(location, revision)
    checkpoint = read_original(path, towers) if path.is_file() else read_folder(path)
    if extract_layers is not None:
        config = replace(checkpoint.config, extract_layers=tuple(extract_layers))
        checkpoint = checkpoint._replace(config=config)
    model = assemble(checkpoint, size=size, fit=fit).to(chosen, kind)
    if can_pack_linears(chosen, kind):
        pack_linears(model.decoder if kind == torch.float32 else model)  # its towers gain in bfloat16 only
    return DenseSegmenter(model, device=chosen, dtype=kind)


def read_folder(folder: Path) -> Checkpoint:
    """Read a folder that transformers wrote, or one whose config.json names an original decoder and its CLIP."""
    values = read_json(folder / "config.json")
    if "towers" in values and "weights" in values:
        return read_original(folder / str(values["weights"]), None)
    config = ClipSegConfig.from_json(values)
    weights, statistics = read_weights(find_weights(folder)), read_statistics(folder)
    if config.is_published:
        decoder = decoder_from_transformers(weights)
        return Checkpoint(folder, config, clip_weights(weights), decoder, statistics)
    return Checkpoint(
        folder, config, under_prefix(weights, TOWERS_PREFIX), under_prefix(weights, "decoder."), statistics
    )


def read_original(path: Path, towers: Location | None) -> Checkpoint:
    """Read a decoder-only file and the CLIP that it belongs to; pixels are normalised as CLIPSeg was trained."""
    decoder = {name: t for name, t in read_weights(path).items() if not name.startswith("clip_model.")}
    folder = local_folder(towers_beside(path) if towers is None else towers, None)
    values = read_json(folder / "config.json")
    config = _config_of(decoder, values, path)
    clip = clip_weights(read_weights(find_weights(folder)))
    return Checkpoint(folder, config, clip, decoder, TRAINED_WITH)


def towers_beside(path: Path) -> Location:
    """Return the CLIP of an original file: what the config.json beside it names, or that folder if it is a CLIP's own.

    Returns:
        A path, or a hub id: the published CLIP where there is no config.json.
    """
    beside = path.parent / "config.json"
    if not beside.is_file():
        return TOWERS
    named = read_json(beside).get("towers")
    if named is None:
        return path.parent
    return path.parent / str(named) if (path.parent / str(named)).exists() else str(named)


def _config_of(decoder: Mapping[str, Tensor], towers: Mapping[str, Any], path: Path) -> ClipSegConfig:
    """The sizes of an original decoder, derived from the shapes of its weights."""
    blocks = {name.split(".")[1] for name in decoder if name.startswith("blocks.")}
    is_deconv = "reduce2.0.weight" in decoder
    try:
        channels, condition = decoder["film_mul.weight"].shape
        return ClipSegConfig(
            vision=towers.get("vision_config") or {},
            text=towers.get("text_config") or {},
            projection_dim=condition,
            reduce_dim=channels,
            extract_layers=(9,) if is_deconv else {3: (3, 6, 9), 1: (9,)}[len(blocks)],
            feedforward=2048 if is_deconv else len(decoder["blocks.0.linear1.weight"]),
            refined="trans_conv.0.weight" in decoder,
            decoder="deconv" if is_deconv else "attention",
        )
    except (KeyError, ValueError) as error:
        expected = "one with film_mul, blocks (or reduce2) and trans_conv"
        remedy = "give a file of the original CLIPSeg release, such as rd64-uni.pth"
        raise CheckpointError(sentence(f"no CLIPSeg decoder in {quote(path.name)}", expected, remedy)) from error


def assemble(checkpoint: Checkpoint, *, size: int | None, fit: Fit) -> ClipSeg:
    """Build the network of a checkpoint with its weights, on the CPU in float32.

    Args:
        checkpoint: As `read_folder` and `read_original` return it.
        size: Side of the canvas in pixels, in place of the checkpoint's own.
        fit: See `ClipSeg`.

    Raises:
        CheckpointError: If the weights do not fit the configuration, or the size the patches.
    """
    folder, config, _, _, (mean, std, saved) = checkpoint
    vision, text = build_towers(checkpoint)
    try:
        with no_weights():
            decoder = build_decoder(config)
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        got = f"impossible sizes of a decoder in {quote(folder)} ({brief(error)})"
        raise CheckpointError(sentence(got, "sizes that fit", "fetch or save the checkpoint again")) from error
    load_exactly(decoder, checkpoint.decoder, source=f"{folder.name} (decoder)", unused=UNUSED)
    canvas = saved if size is None else (size, size)
    if min(canvas) < config.patch or any(side % config.patch for side in canvas):
        got, expected = f"a canvas of {canvas[0]} x {canvas[1]} px", f"multiples of the patch size, {config.patch} px"
        raise CheckpointError(sentence(got, expected, "pass for example size=352"))
    model = ClipSeg(vision, text, decoder, mean=mean, std=std, size=canvas, fit=fit)
    return model.eval().requires_grad_(False)


def local_folder(location: Location, revision: str | None) -> Path:
    """Return the folder or file of a location; a hub id is downloaded."""
    path = Path(location).expanduser()
    return path if path.exists() else fetch_checkpoint(os.fspath(location), revision=revision)
