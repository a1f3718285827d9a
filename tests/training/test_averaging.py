"""Averages of weights: over the steps, and with those of the start."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from wordmask.training.averaging import StartAverage, WeightAverage


def ones() -> Any:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    return model


def values(model: Any, average: WeightAverage) -> float:
    with average.applied():
        return float(model.weight.detach())


def test_the_warm_up_forgets_the_start_soon() -> None:
    """The start weighs 1 before the first update and then the product of the factors t / (t + 9)."""
    model = ones()
    average = WeightAverage(model, 0.999)
    with torch.no_grad():
        model.weight.zero_()  # the average now says how much the start weighs
    expected = [1 / 10, 1 / 10 * 2 / 11, 1 / 10 * 2 / 11 * 3 / 12]
    found = []
    for _ in range(3):
        average.update()
        found.append(values(model, average))
    assert found == pytest.approx(expected)
    for _ in range(4):
        average.update()
    assert values(model, average) < 1e-4


def test_after_the_warm_up_the_decay_holds() -> None:
    model = ones()
    average = WeightAverage(model, 0.8)
    average.updates = 100  # t / (t + 9) is above 0.8 from t = 36 on
    with torch.no_grad():
        model.weight.zero_()
    average.update()
    assert values(model, average) == pytest.approx(0.8)
    average.update()
    assert values(model, average) == pytest.approx(0.64)


def test_the_model_has_its_own_weights_again() -> None:
    model = nn.BatchNorm1d(2)
    average, start = WeightAverage(model, 0.9), StartAverage(model, 0.5)
    model(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    average.update()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with average.applied(), start.applied():
        assert not torch.equal(model.running_mean, before["running_mean"])  # type: ignore[arg-type]
        assert model.num_batches_tracked == 1  # integers are copied
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_mean_with_the_start() -> None:
    model = ones()
    start = StartAverage(model, 0.25)
    with torch.no_grad():
        model.weight.fill_(3.0)
    with start.applied():
        assert float(model.weight.detach()) == pytest.approx(2.5)
    assert float(model.weight.detach()) == 3.0


def test_an_average_continues_from_its_state() -> None:
    model = ones()
    average, other = WeightAverage(model, 0.99), WeightAverage(model, 0.99)
    with torch.no_grad():
        model.weight.fill_(5.0)
    average.update()
    other.load_state_dict(average.state_dict())
    for one in (average, other):
        one.update()
    assert values(model, other) == values(model, average)
    with pytest.raises(ValueError, match="other tensors"):
        WeightAverage(nn.Linear(1, 1), 0.99).load_state_dict(average.state_dict())


def test_without_an_average_the_weights_are_the_models() -> None:
    model = ones()
    average = WeightAverage(model, 0.0)
    with torch.no_grad():
        model.weight.fill_(2.0)
    average.update()
    assert values(model, average) == 2.0
