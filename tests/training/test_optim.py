"""Which weights go to which optimiser, and that both go on from a checkpoint."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from wordmask.errors import TrainingError
from wordmask.training.optim import Optimiser, build_optimiser, flat_matrix, is_matrix, set_lr
from wordmask.training.schedule import Schedule

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"steps": 9, "batch": 1, "lr": 0.1, "weight_decay": 0.3, **changes})


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 1), nn.Linear(4, 4))
    return model.to(memory_format=torch.channels_last)


def test_what_counts_as_a_matrix() -> None:
    shapes = {(16, 16): True, (15, 64): False, (64,): False, (16, 4, 3, 3): True, (16, 1, 3, 3): False}
    assert {shape: is_matrix(torch.zeros(shape)) for shape in shapes} == shapes


def test_a_convolution_is_a_matrix_of_the_same_memory() -> None:
    weight = torch.randn(16, 4, 3, 3).to(memory_format=torch.channels_last)
    matrix = flat_matrix(weight)
    assert matrix.shape == (16, 36)
    matrix.zero_()
    assert not weight.any()
    other = torch.randn(16, 4, 3, 3)
    assert torch.equal(flat_matrix(other), other.flatten(1))
    with pytest.raises(TrainingError, match="make it contiguous"):
        flat_matrix(torch.randn(16, 4, 3, 6)[..., ::2])


def test_groups_have_their_own_learning_rates_and_decay() -> None:
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [
        {"params": list(one.named_parameters())},
        {"params": two.parameters(), "lr_scale": 0.5, "weight_decay": 0.0},
    ]
    optimiser = build_optimiser(groups, schedule())
    assert [(group["peak_lr"], group["weight_decay"]) for group in optimiser.param_groups] == [(0.1, 0.3), (0.05, 0.0)]
    set_lr(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.05, 0.025]


def test_biases_and_norms_need_not_decay() -> None:
    optimiser = build_optimiser([{"params": small_model().parameters()}], schedule(decay_biases=False))
    decays = [(group["weight_decay"], {weight.ndim for weight in group["params"]}) for group in optimiser.param_groups]
    assert decays == [(0.3, {2, 4}), (0.0, {1})]


def test_frozen_weights_are_left_out() -> None:
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(TrainingError, match="no weight to train"):
        build_optimiser([{"params": model.parameters()}], schedule())


def test_adamw_alone_is_torchs() -> None:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimiser = build_optimiser([{"params": ours.parameters()}], schedule())
    expected = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.3)
    for _ in range(3):
        for model, steps in ((ours, optimiser), (theirs, expected)):
            steps.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            set_lr(optimiser, 1.0)
            steps.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def step(model: nn.Module, optimiser: Optimiser, seed: int) -> None:
    optimiser.zero_grad()
    pixels = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
    model(pixels).square().sum().backward()
    set_lr(optimiser, 1.0)
    optimiser.step()


@needs_muon
def test_muon_takes_the_matrices_that_it_may_have() -> None:
    model = small_model()
    first, _, second, _ = model
    groups = [{"params": [first.weight], "muon": False}, {"params": [*model[1:].named_parameters()]}]
    optimiser = build_optimiser(groups, schedule(muon_lr=0.02))
    adamw, muon = optimiser.parts
    assert [group["peak_lr"] for group in muon.param_groups] == [0.02]
    assert [weight.shape for group in muon.param_groups for weight in group["params"]] == [(16, 16)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 1 + 2 + 1 + 2
    before = second.weight.detach().clone()
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    set_lr(optimiser, 1.0)
    optimiser.step()
    update = (second.weight.detach() - before * (1 - 0.02 * 0.3)).flatten(1)
    singular = torch.linalg.svdvals(update) / (0.02 * 0.2 * 16**0.5)  # match_rms_adamw
    assert ((singular > 0.6) & (singular < 1.3)).all()  # nearly orthogonal


@needs_muon
def test_both_optimisers_continue_from_a_checkpoint() -> None:
    models = [small_model() for _ in range(2)]
    optimisers = [build_optimiser([{"params": model.parameters()}], schedule(muon_lr=0.02)) for model in models]
    for number in range(4):
        step(models[0], optimisers[0], number)
        if number == 1:
            models[1].load_state_dict(models[0].state_dict())
            optimisers[1].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))
        if number > 1:
            step(models[1], optimisers[1], number)
    for name, tensor in models[0].state_dict().items():
        assert torch.equal(tensor, models[1].state_dict()[name]), name
    with pytest.raises(TrainingError, match="a checkpoint of 2 optimisers for 1"):
        build_optimiser([{"params": models[1].parameters()}], schedule()).load_state_dict(optimisers[0].state_dict())
