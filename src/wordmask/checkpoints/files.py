"""Read the small files of a model's folder; checksum of weights."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence
from wordmask.files import require_regular

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

__all__ = ["brief", "checksum", "named", "read_file", "read_json"]

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in a model's folder; safetensors before a pickle."""
LARGEST_JSON = 64 * 2**20
"""Bytes of the largest JSON file of a model that is read."""
AGAIN = "fetch or save the checkpoint again"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model's folder.

    Raises:
        ModelNotFoundError: If there is no such file.
        CheckpointError: If it holds anything else.
    """
    try:
        content = json.loads(read_file(path, limit=LARGEST_JSON).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(sentence(f"a damaged {named(path)} ({brief(error)})", "valid JSON", AGAIN)) from error
    if not isinstance(content, dict):
        got = f"a JSON {type(content).__name__} in {named(path)}"
        raise CheckpointError(sentence(got, "an object", AGAIN))
    return content


def read_file(path: Path, *, limit: int) -> bytes:
    """Return the content of a file of a model's folder.

    Args:
        path: The file.
        limit: Largest size in bytes.

    Raises:
        ModelNotFoundError: If there is no such file, or it may not be read.
        CheckpointError: If it is a folder, a pipe or a device, is empty or is too large.
    """
    try:
        require_regular(path, f"a {path.name}", error=CheckpointError, limit=limit, remedy=AGAIN)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        remedy = "give the folder that holds config.json and model.safetensors"
        raise ModelNotFoundError(
            sentence(f"the folder {quote(path.parent)}", f"a {path.name} in it that can be read", remedy)
        ) from error


def named(path: Path) -> str:
    """Return a file's name for messages; long folder names are shortened."""
    return f"{path.name} in {quote(path.parent)}"


def brief(error: Exception) -> str:
    """Return the beginning of an exception's message, on one line."""
    words = " ".join(str(error).split())
    return words if len(words) <= 160 else f"{words[:159]}…"


def checksum(weights: Iterable[torch.Tensor], *, each: int | None = None) -> int:
    """CRC-32 of weights as float32, in the order given.

    Args:
        weights: Tensors of any shape and precision.
        each: Number of values of each tensor that count, the first ones; None: all.
    """
    value = 0
    for weight in weights:
        chosen = weight.detach().flatten()[:each].cpu().float().contiguous()
        value = zlib.crc32(chosen.numpy().tobytes(), value)
    return value
