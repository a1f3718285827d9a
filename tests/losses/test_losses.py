"""Losses against slow versions written as their formulas read, and against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wordmask.losses import balanced_bce, bce, dice


def _entropy(logit: float, target: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def slow_bce(logits: list[float], targets: list[float], known: list[float]) -> float:
    total = sum(k * _entropy(x, t) for x, t, k in zip(logits, targets, known, strict=True))
    return total / sum(known)


def slow_balanced(logits: list[float], targets: list[float], known: list[float]) -> float:
    cells = list(zip(logits, targets, known, strict=True))
    inside = sum(k * t * _entropy(x, t) for x, t, k in cells)
    outside = sum(k * (1 - t) * _entropy(x, t) for x, t, k in cells)
    area, rest = sum(k * t for _, t, k in cells), sum(k * (1 - t) for _, t, k in cells)
    return inside / (area + 4) + outside / max(rest, 4)


def slow_dice(logits: list[float], targets: list[float], known: list[float]) -> float:
    cells = [(1 / (1 + math.exp(-x)), t, k) for x, t, k in zip(logits, targets, known, strict=True)]
    if sum(t * k for _, t, k in cells) <= 0.5:
        return 0.0
    joint = sum(p * k * t for p, t, k in cells)
    both = sum((p * k) ** 2 for p, _, k in cells) + sum(k * t * t for _, t, k in cells)
    return 1 - (2 * joint + 1) / (both + 1)


PAIRS = [(bce, slow_bce), (balanced_bce, slow_balanced), (dice, slow_dice)]


def _case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 5, 3, generator=random)
    targets = (torch.rand(4, 5, 3, generator=random) > 0.6).float()
    targets[2] = 0
    targets[3] = torch.rand(5, 3, generator=random)  # soft truth, as cells at a border have
    known = (torch.rand(4, 5, 3, generator=random) > 0.3).float()
    return logits, targets, known


@pytest.mark.parametrize(("loss", "slow"), PAIRS)
def test_each_mask_has_the_value_of_the_formula(loss: Callable[..., Tensor], slow: Callable[..., float]) -> None:
    for seed in range(3):
        logits, targets, known = _case(seed)
        expected = [
            slow(*(part[row].flatten().tolist() for part in (logits, targets, known))) for row in range(len(logits))
        ]
        torch.testing.assert_close(loss(logits, targets, known), torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("loss", "slow"), PAIRS)
def test_what_is_not_known_does_not_matter(loss: Callable[..., Tensor], slow: Callable[..., float]) -> None:
    logits, targets, known = _case(0)
    other = torch.where(known > 0, logits, -logits + 5)
    torch.testing.assert_close(loss(other, targets, known), loss(logits, targets, known))


def test_values_by_hand() -> None:
    zero, one = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    assert bce(zero, one, one).item() == pytest.approx(math.log(2))
    assert bce(zero, one, zero).item() == 0  # nothing is known
    # 4 pixels inside of area 4 + 4, none outside
    assert balanced_bce(zero, one, one).item() == pytest.approx(4 * math.log(2) / 8)
    # p = 1/2 everywhere: 1 - (2 * 4 / 2 + 1) / (4 / 4 + 4 + 1)
    assert dice(zero, one, one).item() == pytest.approx(1 - 5 / 6)
    assert dice(30 * one, one, one).item() == pytest.approx(0, abs=1e-6)
    assert dice(30 * one, zero, one).item() == 0  # not there: no overlap to speak of


@pytest.mark.parametrize(("loss", "slow"), PAIRS)
def test_gradients_are_finite_for_extreme_logits(loss: Callable[..., Tensor], slow: Callable[..., float]) -> None:
    logits = torch.tensor([[[-1e4, 1e4], [1e4, -1e4]]], requires_grad=True)
    targets = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    loss(logits, targets, torch.ones(1, 2, 2)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
