"""A bundle of the embedded trunk and a tiny crop network with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from wordmask.backbones.crop.network import CropConfig, CropNetwork
from wordmask.backbones.crop.weights import save_crop_weights
from wordmask.methods.table import WEIGHTS

SIZES = CropConfig(widths=(8, 8, 8, 8, 8))


def write_bundle(folder: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    save_crop_weights(folder, CropNetwork(SIZES))
    content = {
        "model_type": "wordmask-imss",
        "name": "tiny",
        "parts": {"trunk": {"path": str(WEIGHTS / "compact")}},
        "network": SIZES.to_json(),
        "refine": {"shift": -0.25},
        "draw": {"margin": 0.5},
    }
    (folder / "config.json").write_text(json.dumps(content))
    return folder
