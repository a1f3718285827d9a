"""Weights on disk: checkpoints of a training run, and folders that ship, read alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

TEXT = "text."
"""How the names of the phrase encoder's weights begin inside a network."""


def read_run(path: Path) -> dict[str, Any]:
    """What a run stored, or the weights of a folder that `wordmask.load` reads as its "network" and its "average".

    Args:
        path: A checkpoint, a run's folder or a folder of weights.
    """
    if path.is_file() or (path / "last.pt").is_file():
        return dict(torch.load(path if path.is_file() else path / "last.pt", weights_only=True))
    weights = {k: v.float() for k, v in load_file(path / "model.safetensors").items()}
    return {"network": weights, "average": weights}


def read_text(folder: Path) -> dict[str, Tensor]:
    """Weights of the phrase encoder, from what `train_text.py` wrote or from a folder that `wordmask.load` reads."""
    if (folder / "text.safetensors").is_file():
        return load_file(folder / "text.safetensors")
    weights = load_file(folder / "model.safetensors")
    return {k.removeprefix(TEXT): v.float() for k, v in weights.items() if k.startswith(TEXT)}
