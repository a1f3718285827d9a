"""Muon and AdamW together: which weights go where, what a step does, and that a stored run goes on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from scripts.train_compact.optimisers import Optimisers, flat

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(16, 32, 3, bias=False), nn.BatchNorm2d(32), nn.Conv2d(32, 1, 1))
    return layers.to(memory_format=torch.channels_last)


def optimisers(layers: nn.Module, *, muon: float = 0.02) -> Optimisers:
    return Optimisers(dict(layers.named_parameters()), rate=1e-3, muon=muon)


def learn(layers: nn.Module, both: Optimisers, *, steps: int, share: float = 1.0) -> list[float]:
    losses = []
    for step in range(steps):
        pixels = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(step))
        loss = (layers(pixels) - pixels[:, :1, 1:-1, 1:-1]).square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        both.step(share)
    return losses


def evenness(matrix: torch.Tensor) -> float:
    """How much weaker the middle of a matrix's directions is than its strongest."""
    strengths = torch.linalg.svdvals(matrix)
    return float(strengths.median() / strengths.max())


def test_a_flat_weight_shares_its_memory() -> None:
    weight = network()[0].weight
    matrix = flat(weight)
    assert matrix.shape == (32, 16 * 9)
    matrix[3, 16 * 4 + 5] = 7.0  # cell (1, 1) of the kernel, input 5
    assert weight[3, 5, 1, 1] == 7.0


def test_weights_laid_out_otherwise_are_refused() -> None:
    with pytest.raises(ValueError, match="channels last"):
        flat(nn.Conv2d(16, 32, 3).weight)


def test_a_first_step_of_muon_moves_every_direction_alike() -> None:
    layers = network()
    before = flat(layers[0].weight).clone()
    plain = copy.deepcopy(layers)
    plain(torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    both = optimisers(layers)
    learn(layers, both, steps=1)
    assert len(both.matrices) == 1  # the last layer has one output: AdamW's
    change = flat(layers[0].weight) - before * (1 - 0.02 * 0.05)
    assert evenness(change) > 0.6
    assert evenness(plain[0].weight.grad.flatten(1)) < 0.3
    assert change.square().mean().sqrt() == pytest.approx(0.02 * 0.2, rel=0.2)  # AdamW's size


def test_without_muon_all_weights_are_adamws() -> None:
    layers = network()
    both = optimisers(layers, muon=0.0)
    assert list(both.parts) == ["adamw"]
    assert learn(layers, both, steps=100)[-1] < learn(network(), optimisers(network()), steps=1)[0]


def test_learning_lowers_the_loss_and_forgets_gradients() -> None:
    layers = network()
    losses = learn(layers, optimisers(layers), steps=60)
    assert losses[-1] < 0.5 * losses[0]
    assert all(weight.grad is None for weight in layers.parameters())


def test_a_share_of_nothing_changes_nothing() -> None:
    layers = network()
    before = copy.deepcopy(layers.state_dict())
    learn(layers, optimisers(layers), steps=1, share=0.0)
    for key, weight in layers.named_parameters():
        torch.testing.assert_close(weight, before[key], rtol=0, atol=0)


def test_a_stored_run_goes_on_as_if_it_had_not_stopped() -> None:
    straight, stopped = network(), network()
    both = optimisers(straight)
    learn(straight, both, steps=3)
    whole = learn(straight, both, steps=3)
    first = optimisers(stopped)
    learn(stopped, first, steps=3)
    again = network()
    again.load_state_dict(stopped.state_dict())
    second = optimisers(again)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert learn(again, second, steps=3) == pytest.approx(whole, rel=1e-6)


def test_checkpoints_of_other_optimisers_are_refused() -> None:
    stored = optimisers(network(), muon=0.0).state_dict()
    with pytest.raises(ValueError, match=r"other optimisers.*--muon"):
        optimisers(network()).load_state_dict(stored)
