"""Losses of query-based hosts, against values worked out by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wordmask.backbones.query_hosts.criterion import CriterionSettings, matched_losses

SIDE = 4
EVERY_CELL = CriterionSettings(points=SIDE * SIDE, oversample=1.0, importance=0.0)


@pytest.fixture
def _points_are_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the random points of transformers be the centres of all cells, each once."""
    centres = (torch.arange(SIDE) + 0.5) / SIDE
    grid = torch.cartesian_prod(centres, centres).flip(1)  # (x, y)

    def rand(*shape: Any, **options: Any) -> Tensor:
        number, points, _ = shape
        return grid[:points].expand(number, -1, -1).contiguous()

    monkeypatch.setattr(torch, "rand", rand)


def bce(logits: np.ndarray, mask: np.ndarray) -> float:
    return float(np.mean(np.maximum(logits, 0) - logits * mask + np.log1p(np.exp(-np.abs(logits)))))


def dice(logits: np.ndarray, mask: np.ndarray) -> float:
    probability = 1 / (1 + np.exp(-logits))
    return float(1 - (2 * (probability * mask).sum() + 1) / (probability.sum() + mask.sum() + 1))


@pytest.mark.usefixtures("_points_are_cells")
@pytest.mark.parametrize("swapped", [False, True])
def test_two_queries_and_two_targets(swapped: bool) -> None:
    random = np.random.default_rng(0)
    masks, logits = random.normal(size=(2, SIDE, SIDE)), np.array([[2.0, 0.0, -1.0], [0.5, 0.3, 1.0]])
    targets = np.zeros((2, SIDE, SIDE))
    targets[0, :2], targets[1, :, 3] = 1, 1
    labels = np.array([1, 0] if swapped else [0, 1])
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cost = np.array(
        [
            [
                2 * -probability[q, labels[t]] + 5 * bce(masks[q], targets[t]) + 5 * dice(masks[q], targets[t])
                for t in range(2)
            ]
            for q in range(2)
        ]
    )
    best = min(itertools.permutations(range(2)), key=lambda order: sum(cost[q, t] for q, t in enumerate(order)))
    log = -np.log(probability)
    expected = {
        "class": 2 * np.mean([log[q, labels[t]] for q, t in enumerate(best)]),
        "mask": 5 * sum(bce(masks[q], targets[t]) for q, t in enumerate(best)) / 2,
        "dice": 5 * sum(dice(masks[q], targets[t]) for q, t in enumerate(best)) / 2,
    }
    found = matched_losses(
        torch.tensor(masks)[None].float(), torch.tensor(logits)[None].float(), [torch.tensor(targets).float()],
        [torch.tensor(labels)], EVERY_CELL,
    )  # fmt: skip
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=2e-6)


@pytest.mark.usefixtures("_points_are_cells")
def test_unmatched_queries_weigh_a_tenth() -> None:
    logits = torch.tensor([[[1.0, 0.0], [0.2, 0.4]]])
    masks = torch.stack([torch.full((SIDE, SIDE), 5.0), torch.full((SIDE, SIDE), -5.0)])[None]
    found = matched_losses(masks, logits, [torch.ones(1, SIDE, SIDE)], [torch.tensor([0])], EVERY_CELL)
    log = -logits[0].log_softmax(-1)
    expected = 2 * (log[0, 0] + 0.1 * log[1, 1]) / 1.1
    assert float(found["class"]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("criterion", ["points", "focal"])
def test_images_without_ground_truth_teach_no_object(criterion: str) -> None:
    settings = CriterionSettings(criterion=criterion, points=16)
    masks, logits = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
    nothing, none = torch.zeros(0, 16, 16), torch.zeros(0, dtype=torch.int64)
    found = matched_losses(masks, logits, [nothing, nothing], [none, none], settings)
    assert float(found["mask"].detach()) == float(found["dice"].detach()) == 0
    expected = -logits.detach().log_softmax(-1)[..., -1].mean()
    assert float(found["class"].detach()) == pytest.approx(settings.class_weight * float(expected), abs=1e-5)
    torch.autograd.backward(sum(found.values(), torch.zeros(())))
    assert masks.grad is not None
    assert masks.grad.abs().max() == 0
    target = torch.zeros(1, 16, 16)
    target[0, :4] = 1
    mixed = matched_losses(masks, logits, [nothing, target], [none, torch.tensor([2])], settings)
    assert all(bool(value.isfinite()) for value in mixed.values())
    assert float(mixed["mask"].detach()) > 0
