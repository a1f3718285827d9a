"""Export a model: graphs of its own for image, text and decoder, checked against the model."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.backbones.graphs import RUNTIMES, SUFFIXES
from wordmask.errors import CheckpointError, ModelNotFoundError, OutputError, quote, sentence
from wordmask.export.check import Comparison, compared, compared_images
from wordmask.export.compact import parts_of
from wordmask.export.graphs import quantised, write_onnx, write_openvino
from wordmask.images import load_image
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.exported import load_exported
from wordmask.methods.exported.loading import MODEL_TYPE
from wordmask.ops.resize import place

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from wordmask.images import ImageInput, RgbImage

__all__ = ["LOWEST_IOU", "LOSS_OF_INT8", "Exported", "export_model"]

LOWEST_IOU = 0.99
"""Masks of an export and of its model agree at least so far, or the export fails."""
LOSS_OF_INT8 = 0.01
"""Mean IoU that int8 may lose; where it loses more, the graph stays as it was."""


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        folder: What `wordmask.load` reads.
        check: Against the model in float32.
        int8: Whether the image graph computes in int8.
        note: Why not, where it was asked for.
    """

    folder: Path
    check: Comparison
    int8: bool = False
    note: str = ""


def export_model(
    model: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    *,
    to: str = "onnx",
    int8: bool = False,
    images: Sequence[ImageInput] = (),
) -> Exported:
    """Write a model as a folder of graphs, and compare both.

    Args:
        model: As for `wordmask.load`.
        folder: Made if it is missing; files of the same names are replaced.
        to: `onnx` or `openvino`.
        int8: Whether the image encoder's convolutions shall compute in int8 (ONNX alone), if masks stay the same.
        images: Images to calibrate int8 and to compare on; without any, samples and drawings.

    Raises:
        ModelNotFoundError: If the model cannot be exported.
        CheckpointError: If the masks of both differ: nothing is left in the folder then that `load` would read.
        MissingExtraError: If what writes the graphs is not installed.
    """
    from wordmask.api import load

    if to not in RUNTIMES:
        raise OutputError(sentence(f"the format {quote(to)}", " or ".join(RUNTIMES), "choose one of these"))
    eager: Any = load(model, device="cpu", dtype="float32")
    network = _exportable(eager)
    chosen = [load_image(image) for image in images] or compared_images()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        for name, part in parts_of(network).items():
            path = (target if to == "onnx" else Path(scratch)) / f"{name}.onnx"
            write_onnx(part, path)
            if to == "openvino":
                write_openvino(path, target / f"{name}.xml")
    network.tokenizer.save(str(target / "tokenizer.json"))
    check = _checked(eager, network, target, to, chosen)
    if not int8:
        return Exported(target, check)
    return _in_int8(eager, network, target, to, chosen, check)


def _exportable(eager: Any) -> CompactModel:
    """Return the network of a segmenter.

    Raises:
        ModelNotFoundError: If it cannot be exported.
    """
    if eager.exportable and isinstance(eager, DenseSegmenter) and isinstance(eager.model, CompactModel):
        eager.model.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return eager.model
    got = f"the model {eager.name}, which is not exportable"
    raise ModelNotFoundError(sentence(got, "a compact network", "export that, or serve this one as it is"))


def _checked(eager: Any, network: CompactModel, folder: Path, to: str, images: Sequence[RgbImage]) -> Comparison:
    """Write the config, and compare what it describes with the model.

    Raises:
        CheckpointError: If masks differ.
    """
    _write_config(network, folder, to)
    check = compared(eager, load_exported(folder, dtype=torch.float32), images)
    if check.iou < LOWEST_IOU:
        (folder / "config.json").unlink()
        got = f"an export whose masks differ from the model's (IoU {check.iou:.3f})"
        raise CheckpointError(sentence(got, f"at least {LOWEST_IOU}", "update torch and the runtime, and try again"))
    _write_config(network, folder, to, check=check)
    return check


def _in_int8(
    eager: Any, network: CompactModel, folder: Path, to: str, images: Sequence[RgbImage], before: Comparison
) -> Exported:
    if to != "onnx":
        return Exported(folder, before, note="int8 is written for ONNX alone")
    path, kept = folder / "image.onnx", folder / "image.float.onnx"
    path.replace(kept)
    quantised(kept, path, [{"pixels": _pixels(network, image)} for image in images])
    check = compared(eager, load_exported(folder, dtype=torch.float32), images)
    if 1 - check.mean_iou > LOSS_OF_INT8:
        kept.replace(path)
        return Exported(folder, before, note=f"int8 loses {100 * (1 - check.mean_iou):.1f} points of IoU: left out")
    kept.unlink()
    _write_config(network, folder, to, check=check, int8=True)
    return Exported(folder, check, int8=True)


def _pixels(network: CompactModel, image: RgbImage) -> torch.Tensor:
    """Normalised pixels (1, 3, H, W) of an image on the network's canvas."""
    canvas = place(image.pixels, network.canvas(image.size)).astype(np.float32) / 255
    mean, std = (np.asarray(value, np.float32) for value in (network.mean, network.std))
    return torch.from_numpy((canvas - mean) / std).permute(2, 0, 1)[None].contiguous()


def _write_config(
    network: CompactModel, folder: Path, to: str, *, check: Comparison | None = None, int8: bool = False
) -> None:
    text = network.network.text
    content = {
        "model_type": MODEL_TYPE,
        "name": network.name,
        "runtime": to,
        "int8": int8,
        "graphs": {name: f"{name}{SUFFIXES[to]}" for name in ("image", "text", "decoder", "example")},
        "settings": network.settings.to_json(),
        "text": {"length": text.length, "channels": text.channels, "tokens": text.token.num_embeddings},
        "normalisation": {"mean": network.mean, "std": network.std},
        "check": None if check is None else check.to_json(),
    }
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
