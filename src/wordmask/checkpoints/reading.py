"""Read the weights of checkpoints: safetensors, and pickles that hold nothing but tensors."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wordmask.checkpoints.files import WEIGHT_FILES, brief, named
from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence
from wordmask.files import require_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["find_weights", "read_weights", "under_prefix"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def find_weights(folder: Path) -> Path:
    """Return the weights file of a transformers folder; safetensors before a pickle.

    Raises:
        ModelNotFoundError: If there is none.
    """
    for name in WEIGHT_FILES:
        if (folder / name).exists():
            return folder / name
    got = f"no weights in {quote(folder)}"
    raise ModelNotFoundError(sentence(got, " or ".join(WEIGHT_FILES), "put the checkpoint's weights there"))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a pickle that holds nothing but tensors.

    Pickles are read by torch's restricted reader, which runs no code from the file.

    Raises:
        ModelNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, of another kind, no ordinary file, or a pickle that would have to run
            code.
    """
    if path.suffix not in (".safetensors", *_PICKLES):
        expected = f".safetensors or one of {', '.join(_PICKLES)}"
        raise CheckpointError(sentence(f"the weights file {named(path)}", expected, "give the checkpoint's weights"))
    try:
        require_regular(path, "a file of weights", error=CheckpointError)
    except OSError as error:
        got = f"no weights at {quote(path)}"
        raise ModelNotFoundError(sentence(got, "a file that can be read", "check the path")) from error
    if path.suffix == ".safetensors":
        try:
            weights: dict[str, Tensor] = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            remedy = "fetch or save the checkpoint again"
            raise CheckpointError(
                sentence(f"an unreadable {named(path)} ({brief(error)})", "safetensors", remedy)
            ) from error
        return weights
    return _read_pickle(path)


def under_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names start with a prefix, without the prefix."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


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
