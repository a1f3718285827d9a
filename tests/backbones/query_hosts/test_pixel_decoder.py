"""Deformable attention by weighted sums of rows: against a loop, against transformers, and in a whole Mask2Former."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.backbones.query_hosts.models import build
from wordmask.backbones.deformable_attention import deformable_sums
from wordmask.backbones.query_hosts.pixel_decoder import SampledAttention, use_fast_sampling

SHAPES = [(5, 7), (3, 4), (2, 2)]


def naive(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Bilinear samples one by one; cells outside a level are 0."""
    batch, _, heads, depth = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    result = value.new_zeros(batch, queries, heads, depth)
    starts = [0, 35, 47]
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                for level, (height, width) in enumerate(SHAPES):
                    for p in range(points):
                        x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
                        left, top = int(torch.tensor(x).floor()), int(torch.tensor(y).floor())
                        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                            if 0 <= row < height and 0 <= column < width:
                                share = (1 - abs(x - column)) * (1 - abs(y - row)) * weights[b, q, h, level, p]
                                result[b, q, h] += share * value[b, starts[level] + row * width + column, h]
    return result.flatten(2)


def test_sums_of_rows_equal_bilinear_samples_in_double_precision() -> None:
    torch.manual_seed(0)
    value = torch.randn(2, 51, 2, 3, dtype=torch.float64)
    locations = torch.rand(2, 4, 2, 3, 2, 2, dtype=torch.float64) * 1.6 - 0.3  # some outside
    weights = torch.rand(2, 4, 2, 3, 2, dtype=torch.float64)
    found = deformable_sums(value, SHAPES, locations, weights)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, naive(value, locations, weights), rtol=0, atol=1e-10)


def test_a_whole_mask2former_gives_the_same_but_for_rounding() -> None:
    model, pixels = build("mask2former").requires_grad_(False), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model.model.pixel_level_module(pixel_values=pixels)
        names = list(model.state_dict())
        assert use_fast_sampling(model) == 2
        assert list(model.state_dict()) == names
        found = model.model.pixel_level_module(pixel_values=pixels)
    scale = float(expected.decoder_last_hidden_state.std())
    for one, other in (
        (found.decoder_last_hidden_state, expected.decoder_last_hidden_state),
        *zip(found.decoder_hidden_states, expected.decoder_hidden_states, strict=True),
    ):
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=1e-4)


def test_coordinates_stay_float32_under_autocast() -> None:
    layer = SampledAttention(build("mask2former").model.pixel_level_module.decoder.encoder.layers[0].self_attn)
    layer.requires_grad_(False)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        shape = (1, 4, layer.heads, layer.levels, layer.points)
        found = layer._locations(torch.randn(1, 4, 32), torch.rand(1, 4, 3, 2), SHAPES, shape)
    assert found.dtype == torch.float32


def test_training_runs_transformers_own_layer() -> None:
    model, pixels = build("mask2former"), torch.randn(1, 3, 64, 64)
    expected = model.model.pixel_level_module(pixel_values=pixels).decoder_last_hidden_state
    use_fast_sampling(model)
    found = model.model.pixel_level_module(pixel_values=pixels).decoder_last_hidden_state
    assert torch.equal(found, expected)
    torch.autograd.backward(found.sum())
    layer = model.model.pixel_level_module.decoder.encoder.layers[0].self_attn
    assert layer.sampling_offsets.weight.grad.abs().max() > 0


@pytest.mark.parametrize("kind", ["maskformer", "eomt"])
def test_other_hosts_have_none(kind: str) -> None:
    assert not any("deformable" in type(module).__name__.lower() for module in build(kind).modules())
