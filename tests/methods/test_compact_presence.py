"""Presence heads beside the decoder's own: what they read, and networks with and without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.mask_decoder import ImageFeatures
from wordmask.methods.compact.network import CompactNetwork, build_compact
from wordmask.methods.compact.pooled_presence import STATISTICS, pool_cells, pool_inputs


def with_heads() -> CompactNetwork:
    network = build_compact(replace(TINY, pooled_presence=2)).eval()
    network.load_state_dict(tiny_network().state_dict(), strict=False)
    return network


def test_inputs_of_a_map_with_one_bright_quarter() -> None:
    logits = torch.full((1, 1, 8, 8), -30.0)
    logits[..., :4, :4] = 30.0  # 4 of the 16 cells at stride 8
    dot = logits - 5
    activations = torch.zeros(1, 1, 2, 4, 4)
    activations[0, 0, 0, :2, :2], activations[0, 0, 1, 2:, :] = 3.0, 7.0
    pixel = torch.zeros(1, 1, 8, 8)
    pixel[..., :2, :4] = 1.0
    inputs = pool_inputs(pool_cells(pixel), activations, dot, logits)[0, 0]
    assert inputs.shape == (STATISTICS + 2 + 1,)
    wanted = [30, 0.25 * 5, 1, 1, 1, 30, 30, 30, -15, 25, 25, 25, 25, 5, 1]
    torch.testing.assert_close(inputs[:STATISTICS], torch.tensor(wanted))
    torch.testing.assert_close(inputs[STATISTICS:], torch.tensor([3.0, 0.0, 0.5]))  # means inside the mask


def test_a_network_with_heads_adds_their_mean_and_leaves_masks_as_they_are() -> None:
    plain, network = tiny_network(), with_heads()
    conditions = torch.nn.functional.normalize(torch.randn(1, 3, 32), dim=2)
    with torch.inference_mode():
        features: ImageFeatures = network.encode(torch.randn(1, 3, 64, 96))
        logits, presence = network.decoder(features, conditions)
        before, own = plain.decoder(features, conditions)
        prepared = network.decoder.prepare(features)
        activations, dot, _ = network.decoder.masks(prepared, conditions)
        heads = network.decoder.pooled
        assert heads is not None
        pooled = pool_inputs(prepared.cells, activations, dot, logits)[0]
        votes = heads.logits(pooled, features.scene.expand(3, -1), conditions[0])
    assert torch.equal(logits, before)
    assert votes.shape == (2, 3)
    assert not torch.allclose(votes[0], votes[1])
    torch.testing.assert_close(presence, own + votes.mean(0))


def test_presence_does_not_depend_on_the_phrases_asked_with_it() -> None:
    network = with_heads()
    conditions = torch.nn.functional.normalize(torch.randn(1, 3, 32), dim=2)
    with torch.inference_mode():
        features = network.encode(torch.randn(1, 3, 64, 64))
        together = network.decoder(features, conditions)[1]
        alone = network.decoder(features, conditions[:, 1:2])[1]
    torch.testing.assert_close(together[:, 1:2], alone, rtol=1e-5, atol=1e-5)


def test_heads_come_back_from_a_folder_with_their_norms_in_float32(tmp_path: Path) -> None:
    network, config = with_heads(), replace(TINY, pooled_presence=2)
    heads = network.decoder.pooled
    assert heads is not None
    heads.norm.fit(torch.randn(50, len(heads.norm.running_mean)) * 1e-3)
    save_compact(tmp_path, "tiny", network, config, SETTINGS, tiny_tokenizer())
    loaded = load_compact(tmp_path).model.network.decoder.pooled
    assert torch.equal(loaded.norm.running_var, heads.norm.running_var)
    torch.testing.assert_close(loaded.members[1].words.weight, heads.members[1].words.weight.half().float())


@pytest.mark.parametrize("value", [True, -1, 1000, 0.5])
def test_a_number_of_heads_that_cannot_be_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match="pooled_presence"):
        replace(TINY, pooled_presence=value)
