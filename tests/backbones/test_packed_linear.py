"""Packed linear layers: the numbers of torch's own, and used only where they work."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.checkpoints import write_clipseg
from wordmask.backbones import packed_linear
from wordmask.backbones.packed_linear import PackedLinear, can_pack_linears
from wordmask.methods.clipseg import load_clipseg, loader
from wordmask.methods.clipseg.head import RefinedHead

CPU = torch.device("cpu")
works = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bfloat16 on this CPU"
)

in_float32 = pytest.mark.skipif(not can_pack_linears(CPU, torch.float32), reason="torch has no oneDNN here")


@works
@pytest.mark.parametrize(
    ("activation", "module"), [("none", nn.Identity()), ("relu", nn.ReLU()), ("swish", nn.SiLU()), ("gelu", nn.GELU())]
)
@pytest.mark.parametrize("shape", [(1, 48), (7, 48), (3, 5, 48), (600, 48)])
def test_numbers_are_those_of_torchs_own_layer(activation: Any, module: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linear, rows = nn.Linear(48, 64, dtype=torch.bfloat16), torch.randn(shape, dtype=torch.bfloat16)
    with torch.inference_mode():
        got = PackedLinear(linear, activation)(rows)
        exact = module(nn.functional.linear(rows.float(), linear.weight.float(), linear.bias.float()))
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), exact, atol=1e-2, rtol=1e-2)


def logits_of(folder: Path, dtype: str) -> np.ndarray:
    segmenter = load_clipseg(folder, device="cpu", dtype=dtype)
    parts = segmenter.model.modules()  # type: ignore[attr-defined]
    is_packed = any(isinstance(part, PackedLinear) for part in parts)
    assert is_packed == (loader.can_pack_linears(CPU, segmenter.dtype))
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return np.stack(
        [found.heatmap_logits.values for found in segmenter.segment(image, ["hair", "a photo of a left eye"])]
    )


@works
def test_a_packed_model_is_as_near_to_float32_as_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clipseg(tmp_path)
    exact, packed_logits = logits_of(tmp_path, "float32"), logits_of(tmp_path, "bfloat16")
    monkeypatch.setattr(loader, "can_pack_linears", lambda *_: False)
    plain_logits = logits_of(tmp_path, "bfloat16")
    with_packing, without = (np.linalg.norm(other - exact) for other in (packed_logits, plain_logits))
    assert 0 < with_packing < 1.2 * without
    assert without < 0.05 * np.linalg.norm(exact)


@in_float32
def test_float32_layers_have_torchs_numbers() -> None:
    torch.manual_seed(0)
    linear, rows = nn.Linear(48, 64), torch.randn(3, 5, 48)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear, "relu")(rows), linear(rows).relu())


@in_float32
def test_in_float32_only_the_decoder_of_clipseg_is_packed(tmp_path: Path) -> None:
    write_clipseg(tmp_path)
    model = load_clipseg(tmp_path, device="cpu", dtype="float32").model
    assert isinstance(model, nn.Module)
    packed = {name for name, part in model.named_modules() if isinstance(part, PackedLinear)}
    assert packed
    assert all(name.startswith("decoder.blocks.") for name in packed)


def test_checking_for_support_draws_no_random_number() -> None:
    before = torch.random.get_rng_state()
    can_pack_linears(CPU, torch.bfloat16)
    assert torch.equal(torch.random.get_rng_state(), before)


@works
def test_a_packed_layer_can_be_copied() -> None:
    linear, rows = nn.Linear(16, 8, dtype=torch.bfloat16), torch.ones(2, 16, dtype=torch.bfloat16)
    layer = PackedLinear(linear)
    assert torch.equal(copy.deepcopy(layer)(rows), layer(rows))


@works
def test_it_is_used_where_it_works() -> None:
    assert can_pack_linears(CPU, torch.bfloat16)


@works
def test_layers_that_were_packed_are_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clipseg(tmp_path)
    monkeypatch.setattr(loader, "can_pack_linears", lambda *_: False)
    model = load_clipseg(tmp_path, device="cpu", dtype="bfloat16").model
    assert isinstance(model, nn.Module)
    kept = [weakref.ref(block.fc1) for block in model.vision.blocks]  # type: ignore[union-attr]
    packed_linear.pack_linears(model)
    assert [ref() for ref in kept] == [None] * len(kept)


def test_nothing_is_packed_in_other_precisions_or_places() -> None:
    assert not can_pack_linears(CPU, torch.float64)
    assert not can_pack_linears(torch.device("cuda"), torch.bfloat16)


def test_without_the_operations_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    monkeypatch.setattr(packed_linear.torch, "ops", Nothing())
    assert not can_pack_linears(CPU, torch.bfloat16)


@in_float32
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cells", [(1, 22, 22), (3, 9, 22), (2, 1, 1)])
def test_the_packed_head_of_clipseg_has_the_numbers_of_the_plain_one(
    kind: torch.dtype, cells: tuple[int, int, int]
) -> None:
    if not can_pack_linears(CPU, kind):
        pytest.skip("not on this CPU")
    torch.manual_seed(0)
    plain = RefinedHead(64, 16).to(kind).eval()
    packed = copy.deepcopy(plain)
    packed.pack_linears()
    tokens = torch.randn(*cells, 64, dtype=kind)
    with torch.inference_mode():
        expected, got = plain(tokens), copy.deepcopy(packed)(tokens)
    assert got.shape == (cells[0], 16 * cells[1], 16 * cells[2])
    torch.testing.assert_close(got, expected)
    assert packed.state_dict().keys() == plain.state_dict().keys()
