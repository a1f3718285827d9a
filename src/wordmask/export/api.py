"""Export a model: graphs of its own for image, text and decoder, checked against the model."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.graphs import RUNTIMES, SUFFIXES
from wordmask.errors import CheckpointError, ModelNotFoundError, OutputError, quote, sentence
from wordmask.export.check import Comparison, compared, compared_images, photographs
from wordmask.export.compact import parts_of
from wordmask.export.graphs import require_writers, write_onnx, write_openvino
from wordmask.export.int8 import quantised
from wordmask.export.speed import Speed, speeds
from wordmask.images import load_image
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.settings import STRIDE
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.exported import load_exported
from wordmask.methods.exported.loading import MODEL_TYPE
from wordmask.ops.resize import normalised, place

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from wordmask.images import ImageInput, RgbImage

__all__ = ["LOWEST_IOU", "LOSS_OF_INT8", "Exported", "export_model"]

LOWEST_IOU = 0.99
"""Masks of an export and of its model agree at least so far, or the export fails."""
LOSS_OF_INT8 = 0.01
"""Mean IoU of the masks that are drawn that int8 may lose; where it loses more, the graph stays as it was."""
LARGEST_SIZE = 2048
"""Largest canvas that can be exported, in pixels."""


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        folder: What `wordmask.load` reads.
        check: Against the model in float32.
        rounding: The model as loaded by default against itself in float32; None where these are the same.
        speed: Of the model and the export, in float32 or int8 and as loaded by default.
        int8: Whether the image graph computes in int8.
        note: Why not, where it was asked for.
    """

    folder: Path
    check: Comparison
    rounding: Comparison | None = None
    speed: tuple[Speed, ...] = ()
    int8: bool = False
    note: str = ""


def export_model(
    model: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    *,
    to: str = "onnx",
    size: int | None = None,
    int8: bool = False,
    images: Sequence[ImageInput] = (),
    calibrate: Sequence[ImageInput] = (),
) -> Exported:
    """Write a model as a folder of graphs, and compare both.

    Args:
        model: As for `wordmask.load`.
        folder: Made if it is missing; files of the same names are replaced.
        to: `onnx` or `openvino`.
        size: Longer side of the canvas, in pixels, a multiple of 32; None takes the model's own.
        int8: Whether most convolutions of the image encoder shall compute in int8 (ONNX alone), if masks stay the same.
        images: Images to compare on; without any, samples and drawings.
        calibrate: Images from which the ranges of int8 are taken; without any, samples.

    Raises:
        ModelNotFoundError: If the model cannot be exported.
        OutputError: If the format or the size is none.
        CheckpointError: If the masks of both differ: nothing is left in the folder then that `load` would read.
        MissingExtraError: If what writes the graphs is not installed.
    """
    from wordmask.api import load

    if to not in RUNTIMES:
        raise OutputError(sentence(f"the format {quote(to)}", " or ".join(RUNTIMES), "choose one of these"))
    eager: Any = load(model, device="cpu", dtype="float32")
    network = _exportable(eager, size)
    require_writers(to)
    chosen = [load_image(image) for image in images] or compared_images()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").unlink(missing_ok=True)
    _write_graphs(network, target, to)
    made = _checked(eager, network, target, to, chosen)
    if int8:
        ranges = [load_image(image) for image in calibrate] or photographs() or chosen
        made = _in_int8(eager, network, made, to, chosen, ranges)
    usual: Any = load(model, device="cpu")
    made = _measured(eager, usual, made, chosen)
    _write_config(network, made, to)
    return made


def _write_graphs(network: CompactModel, folder: Path, to: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name, part in parts_of(network).items():
            path = (folder if to == "onnx" else Path(scratch)) / f"{name}.onnx"
            write_onnx(part, path)
            if to == "openvino":
                write_openvino(path, folder / f"{name}.xml")
    network.tokenizer.save(str(folder / "tokenizer.json"))


def _exportable(eager: Any, size: int | None) -> CompactModel:
    """Return the network of a segmenter, its canvas of another size where one is asked for.

    Raises:
        ModelNotFoundError: If it cannot be exported.
        OutputError: If the size is none that a canvas can have.
    """
    if not (eager.exportable and isinstance(eager, DenseSegmenter) and isinstance(eager.model, CompactModel)):
        got = f"the model {eager.name}, which is not exportable"
        raise ModelNotFoundError(sentence(got, "a compact network", "export that, or serve this one as it is"))
    network = eager.model
    network.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if size is not None:
        if not 2 * STRIDE <= size <= LARGEST_SIZE or size % STRIDE:
            expected = f"a multiple of {STRIDE} from {2 * STRIDE} to {LARGEST_SIZE}"
            raise OutputError(sentence(f"a canvas of {size} px", expected, "choose another size"))
        network.settings = replace(network.settings, long_side=size)
    return network


def _checked(eager: Any, network: CompactModel, folder: Path, to: str, images: Sequence[RgbImage]) -> Exported:
    """Write the config, and compare what it describes with the model.

    Raises:
        CheckpointError: If masks differ.
    """
    _write_config(network, Exported(folder, compared(eager, eager, images[:1])), to)
    check = compared(eager, load_exported(folder, dtype=torch.float32), images)
    if check.iou < LOWEST_IOU:
        (folder / "config.json").unlink()
        got = f"an export whose masks differ from the model's (IoU {check.iou:.3f})"
        raise CheckpointError(sentence(got, f"at least {LOWEST_IOU}", "update torch and the runtime, and try again"))
    return Exported(folder, check)


def _in_int8(
    eager: Any, network: CompactModel, made: Exported, to: str, images: Sequence[RgbImage], ranges: Sequence[RgbImage]
) -> Exported:
    """Replace the image graph by one in int8, if the masks that are drawn stay the same."""
    if to != "onnx":
        return replace(made, note="int8 is written for ONNX alone")
    path, kept = made.folder / "image.onnx", made.folder / "image.float.onnx"
    path.replace(kept)
    quantised(kept, path, [{"pixels": _pixels(network, image)} for image in ranges])
    check = compared(eager, load_exported(made.folder, dtype=torch.float32), images)
    lost = 1 - check.masks_iou
    if lost > LOSS_OF_INT8:
        kept.replace(path)
        return replace(made, note=f"int8 loses {100 * lost:.1f} points of IoU ({check.masks} masks): left out")
    kept.unlink()
    return replace(made, check=check, int8=True)


def _measured(eager: Any, usual: Any, made: Exported, images: Sequence[RgbImage]) -> Exported:
    """Add how far the model as loaded by default is from itself in float32, and times.

    Args:
        eager: The model in float32.
        usual: The model as loaded by default.
        made: What was exported.
        images: Of the comparison.
    """
    usual.model.settings = eager.model.settings
    speed = speeds(eager, usual, made.folder, images[0], kind="int8" if made.int8 else "float32")
    rounding = None if usual.dtype == torch.float32 else compared(eager, usual, images)
    return replace(made, speed=tuple(speed), rounding=rounding)


def _pixels(network: CompactModel, image: RgbImage) -> torch.Tensor:
    """Normalised pixels (1, 3, H, W) of an image on the network's canvas."""
    values = normalised(place(image.pixels, network.canvas(image.size)), network.mean, network.std)
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()


def _write_config(network: CompactModel, made: Exported, to: str) -> None:
    text = network.network.text
    content = {
        "model_type": MODEL_TYPE,
        "name": network.name,
        "runtime": to,
        "int8": made.int8,
        "graphs": {name: f"{name}{SUFFIXES[to]}" for name in ("image", "text", "decoder", "example")},
        "settings": network.settings.to_json(),
        "text": {"length": text.length, "channels": text.channels, "tokens": text.token.num_embeddings},
        "normalisation": {"mean": network.mean, "std": network.std},
        "check": made.check.to_json(),
        "speed": [row.to_json() for row in made.speed],
    }
    (made.folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
