"""Learning rates, sizes of images and the order of samples."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wordmask.batch import Place
from wordmask.training.order import Order, draws, epochs, whole_batches
from wordmask.training.recipes.phrasecut import phrasecut_plus
from wordmask.training.schedule import Schedule, lr_scale, size_at


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"steps": 30, "batch": 3, "lr": 0.5, **changes})


def lr(step: int, chosen: Schedule) -> float:
    return chosen.lr * lr_scale(step, chosen)


def test_the_papers_learning_rate() -> None:
    chosen = phrasecut_plus().schedule
    rates = [lr(step, chosen) for step in (0, 5000, 10_000, 15_000, 20_000)]
    assert rates == pytest.approx([1e-3, 8.682e-4, 5.5e-4, 2.318e-4, 1e-4], rel=1e-4)


def test_the_cosine_is_torchs() -> None:
    chosen = schedule(final_lr=0.1)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    expected = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 30, eta_min=0.1)
    for step in range(30):
        assert lr(step, chosen) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
        optimiser.step()
        expected.step()


def test_a_warm_up_rises_to_the_learning_rate() -> None:
    chosen = schedule(steps=100, warm_up=4, lr=0.4)
    assert [lr(step, chosen) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert lr(100, chosen) == pytest.approx(0)


def test_warm_up_stable_decay() -> None:
    chosen = schedule(steps=10, warm_up=2, lr=0.8, lr_schedule="linear", decay_from=6)
    rates = [lr(step, chosen) for step in range(11)]
    assert rates == pytest.approx([0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.6, 0.4, 0.2, 0.0])
    assert lr(9, schedule(lr_schedule="constant")) == 0.5
    assert lr(10, schedule(steps=10, lr_schedule="linear", final_lr=0.1)) == pytest.approx(0.1)


def test_sizes_change_at_their_steps() -> None:
    chosen = schedule(sizes=((0, 192), (5, 256)))
    assert [size_at(step, chosen) for step in (0, 4, 5, 29)] == [192, 192, 256, 256]
    assert size_at(3, schedule()) == 0
    order = Order(draws(3), chosen, 4, 6)
    assert [[place.size for place in part] for part in order] == [[192] * 3, [256] * 3]


def places(first: int, last: int, *, count: int = 7, seed: int = 1, **changes: Any) -> list[list[Place]]:
    return list(Order(epochs(count, seed=seed), schedule(**changes), first, last))


def test_every_epoch_has_every_sample_once_in_an_order_of_its_own() -> None:
    every = [place for part in places(0, 7) for place in part]  # 21 places: three epochs
    by_epoch = [[place.item for place in every if place.time == number] for number in range(3)]
    assert [sorted(epoch) for epoch in by_epoch] == [list(range(7))] * 3
    assert by_epoch[0] != by_epoch[1] != by_epoch[2]


def test_an_order_can_begin_anywhere() -> None:
    whole = places(0, 9)
    assert places(4, 9) == whole[4:]
    assert places(0, 9, seed=2) != whole
    (part,) = Order(epochs(7, seed=1, shuffle=False), schedule(batch=9), 0, 1)
    assert part == [(0, index, 0) for index in range(7)] + [(1, 0, 0), (1, 1, 0)]


def test_a_batch_in_parts_has_the_same_samples() -> None:
    whole, parts = places(2, 5, batch=6), places(2, 5, batch=6, accumulate=3)
    assert [len(part) for part in parts] == [2] * 9
    assert [place for part in parts for place in part] == [place for part in whole for place in part]
    assert len(Order(epochs(7, seed=1), schedule(batch=6, accumulate=3), 2, 5)) == 9


def test_draws_are_numbered_within_their_step() -> None:
    assert list(Order(draws(4), schedule(batch=4, accumulate=2), 6, 7)) == [
        [(6, 0, 0), (6, 1, 0)],
        [(6, 2, 0), (6, 3, 0)],
    ]
    assert list(whole_batches(schedule(batch=4, accumulate=2), 6, 8)) == [
        [(6, 0, 0)],
        [(6, 1, 0)],
        [(7, 0, 0)],
        [(7, 1, 0)],
    ]
