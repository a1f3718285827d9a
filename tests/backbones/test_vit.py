"""The Vision Transformer against transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.methods.checkpoints import write_vit
from wordmask.backbones.clip.vision import VisionTower
from wordmask.backbones.vit import build_vit, random_projection, vit_settings, vit_vision_tower, vit_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.errors import CheckpointError


def vit_tower(folder: Path, layers: tuple[int, ...]) -> VisionTower:
    vit = build_vit(vit_settings(json.loads((folder / "config.json").read_text())))
    load_exactly(vit, vit_weights(load_file(folder / "model.safetensors")), source="a test")
    projection = torch.nn.Linear(32, 24)
    projection.load_state_dict(random_projection(32, 24, 5))
    return vit_vision_tower(vit, projection, extract_layers=layers).eval()


def hidden(model: Any, pixels: Tensor) -> Any:
    """Hidden states of transformers, embeddings first, and the last norm's output."""
    with torch.no_grad():
        return model.vit(pixels, output_hidden_states=True, interpolate_pos_encoding=True)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (48, 80)])
def test_a_vits_tokens_are_transformers(size: tuple[int, int], tmp_path: Path) -> None:
    theirs = write_vit(tmp_path / "vit", seed=3)
    ours = vit_tower(tmp_path / "vit", (3, 7, 9))
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = hidden(theirs, pixels)
    with torch.no_grad():
        activations, pooled = ours(pixels), ours.pooled(pixels)
    for layer, tokens in zip((3, 7, 9), activations, strict=True):
        torch.testing.assert_close(tokens, expected.hidden_states[layer + 1], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(pooled, ours.projection(expected.last_hidden_state[:, 0]), atol=2e-5, rtol=1e-5)


def test_a_bare_vit_is_read_as_well_as_a_classifier(tmp_path: Path) -> None:
    model = write_vit(tmp_path / "vit")
    model.vit.save_pretrained(tmp_path / "bare")
    one, other = (vit_weights(load_file(tmp_path / name / "model.safetensors")) for name in ("vit", "bare"))
    assert one.keys() == other.keys()
    assert len(one) == 12 * 16 + 6
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("change", [{"qkv_bias": False}, {"hidden_size": 30}, {"image_size": [64, 96]}])
def test_a_vit_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    values = {"hidden_size": 32, "num_attention_heads": 4, "image_size": 64, **change}
    with pytest.raises(CheckpointError, match="ViT"):
        vit_settings(values)


def test_the_projection_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = random_projection(32, 24, 5)
    torch.manual_seed(2)
    other, third = random_projection(32, 24, 5), random_projection(32, 24, 6)
    assert torch.equal(one["weight"], other["weight"])
    assert torch.equal(one["bias"], other["bias"])
    assert not torch.equal(one["weight"], third["weight"])
    assert one["weight"].abs().max() <= 32**-0.5  # uniform up to 1 / sqrt(width), as torch's linear layers
