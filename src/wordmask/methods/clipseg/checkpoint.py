"""Reading the files of a CLIPSeg checkpoint from a local folder."""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wordmask.checkpoints import brief, named, read_json
from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence

if TYPE_CHECKING:
    from pathlib import Path

Triple = tuple[float, float, float]
Statistics = tuple[Triple, Triple, tuple[int, int]]
"""RGB mean and standard deviation of pixels in [0, 1], and (height, width) of the canvas."""

TRAINED_WITH: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (352, 352))
"""What the published CLIPSeg weights were trained with: ImageNet's statistics (not CLIP's own) at 352 px."""

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def find_weights(folder: Path) -> Path:
    """Return the weights file of a transformers folder; safetensors before a pickle.

    Raises:
        ModelNotFoundError: If there is none.
    """
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    got = f"no weights in {quote(folder)}"
    raise ModelNotFoundError(sentence(got, " or ".join(_WEIGHT_FILES), "put the checkpoint's weights there"))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a pickle that holds nothing but tensors.

    Pickles are read by torch's restricted reader, which runs no code from the file.

    Raises:
        CheckpointError: If the file is damaged, of another kind, or a pickle that would have to run code.
    """
    if path.suffix == ".safetensors":
        try:
            weights: dict[str, Tensor] = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            remedy = "fetch or save the checkpoint again"
            raise CheckpointError(
                sentence(f"an unreadable {named(path)} ({brief(error)})", "safetensors", remedy)
            ) from error
        return weights
    if path.suffix not in _PICKLES:
        expected = f".safetensors or one of {', '.join(_PICKLES)}"
        raise CheckpointError(sentence(f"the weights file {named(path)}", expected, "give the checkpoint's weights"))
    return _read_pickle(path)


def read_statistics(folder: Path) -> Statistics:
    """Return what a folder's `preprocessor_config.json` says; `TRAINED_WITH` without it or for what it leaves out.

    Raises:
        CheckpointError: If the file says something impossible.
    """
    path = folder / "preprocessor_config.json"
    content = read_json(path) if path.is_file() else {}
    try:
        mean = _triple(content.get("image_mean", TRAINED_WITH[0]))
        std = _triple(content.get("image_std", TRAINED_WITH[1]))
        size = content.get("size", TRAINED_WITH[2][0])
        height, width = (size, size) if isinstance(size, int) else (int(size["height"]), int(size["width"]))
    except (KeyError, TypeError, ValueError) as error:
        expected = "size, image_mean and image_std as transformers writes them"
        remedy = "fetch or save the checkpoint again"
        raise CheckpointError(sentence(f"a damaged {named(path)} ({brief(error)})", expected, remedy)) from error
    if min(*std, height, width) <= 0:
        expected = "positive deviations and a positive size"
        raise CheckpointError(sentence(f"a damaged {named(path)}", expected, "fetch or save the checkpoint again"))
    return mean, std, (height, width)


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"{red}, {green}, {blue} are not all finite")
    return red, green, blue


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        expected = "a file of nothing but tensors"
        remedy = "fetch it again, or have whoever made it save it as safetensors; code is never run"
        raise CheckpointError(
            sentence(f"the pickle {named(path)}, which is damaged or holds code", expected, remedy)
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        remedy = "fetch or save the checkpoint again"
        raise CheckpointError(
            sentence(f"an unreadable {named(path)} ({brief(error)})", "torch weights", remedy)
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        expected = "a dictionary of tensors (a state_dict)"
        raise CheckpointError(sentence(f"other content in {named(path)}", expected, "save the model's state_dict"))
    return content
