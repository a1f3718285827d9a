"""Small random hosts, CLIPs and bundles on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.backbones.query_hosts.models import build
from tests.methods.checkpoints import write_tokenizer

CHANNELS = 24


def write_clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a random CLIP whose embeddings differ clearly between images and between phrases."""
    from transformers import CLIPConfig, CLIPModel

    folder.mkdir(parents=True)
    tokens = write_tokenizer(folder)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    ends = {"vocab_size": tokens, "eos_token_id": tokens - 1, "bos_token_id": tokens - 2}
    torch.manual_seed(seed)
    vision = {**tower, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config={**tower, **ends}, projection_dim=CHANNELS)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif parameter.ndim == 1 and "norm" not in name:
                parameter.normal_(std=0.1)
    model.logit_scale.data.fill_(2.0)
    model.save_pretrained(folder)
    return folder


def write_host(folder: Path, kind: str = "mask2former", *, seed: int = 0) -> Path:
    """Write a random host with a small input."""
    build(kind, seed=seed).save_pretrained(folder)
    values = {
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.23, 0.22, 0.23],
        "size": {"shortest_edge": 64, "longest_edge": 128},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def write_bundle(folder: Path, kind: str = "mask2former", **settings: Any) -> Path:
    """Write a bundle with both parts inside."""
    write_host(folder / "host", kind)
    write_clip(folder / "clip")
    return write_config(folder, host="host", clip="clip", **settings)


def write_config(folder: Path, *, host: str, clip: str, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "model_type": "wordmask-two-stage",
        "settings": settings,
        "parts": {"host": {"path": host}, "clip": {"path": clip}},
    }
    (folder / "config.json").write_text(json.dumps(content))
    return folder
