"""Read the small files of a model's folder; checksum of weights."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

__all__ = ["brief", "checksum", "named", "read_json"]


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model's folder.

    Raises:
        ModelNotFoundError: If there is no such file.
        CheckpointError: If it holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "give the folder that holds config.json and model.safetensors"
        raise ModelNotFoundError(
            sentence(f"the folder {quote(path.parent)}", f"a {path.name} in it", remedy)
        ) from error
    except (ValueError, RecursionError) as error:
        remedy = "fetch or save the checkpoint again"
        raise CheckpointError(sentence(f"a damaged {named(path)} ({brief(error)})", "valid JSON", remedy)) from error
    if not isinstance(content, dict):
        got = f"a JSON {type(content).__name__} in {named(path)}"
        raise CheckpointError(sentence(got, "an object", "fetch or save the checkpoint again"))
    return content


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
