"""What the training of the embedded weights adds up, and what its command line takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch


def test_the_class_loss_is_a_cross_entropy_over_the_names_and_none_of_them(script: Any) -> None:
    torch.manual_seed(0)
    pixel, query = torch.randn(2, 3, 4, 4), torch.randn(5, 4)
    classes = torch.randint(-1, 6, (2, 4, 4))
    balance = torch.rand(6) + 0.5
    batch = SimpleNamespace(sources=["a", "a"], classes=classes)
    total, weights = 0.0, 0.0
    for picture in range(2):
        for y in range(4):
            for x in range(4):
                truth = int(classes[picture, y, x])
                if truth >= 0:
                    names = [pixel[picture, :, y, x] @ q[:3] / 3**0.5 + q[3] for q in query]
                    odds = torch.stack([torch.zeros(()), *names])
                    total -= float(balance[truth] * odds.log_softmax(0)[truth])
                    weights += float(balance[truth])
    loss = script("train").class_loss(pixel, {"a": query}, batch, {"a": balance})
    assert float(loss) == pytest.approx(total / weights, rel=1e-5)


def test_sets_weigh_in_the_class_loss_by_their_pictures(script: Any) -> None:
    class_loss = script("train").class_loss
    torch.manual_seed(0)
    pixel = torch.randn(3, 3, 4, 4)
    queries = {"a": torch.randn(5, 4), "b": torch.randn(2, 4), "c": torch.randn(2, 4)}
    balance = {"a": torch.ones(6), "b": torch.ones(3), "c": torch.ones(3)}
    classes = torch.randint(0, 3, (3, 4, 4))
    classes[2] = -1  # of the last picture nothing is known: its set does not count

    def loss(rows: list[int], sources: list[str]) -> float:
        batch = SimpleNamespace(sources=sources, classes=classes[rows])
        return float(class_loss(pixel[rows], queries, batch, balance))

    assert loss([0, 1, 2], ["a", "b", "c"]) == pytest.approx((loss([0], ["a"]) + loss([1], ["b"])) / 2, rel=1e-5)


def test_shares_are_read_from_the_command_line(script: Any) -> None:
    share = script("train").share
    assert share("pascal=0.4") == ("pascal", 0.4)
    for wrong in ("pascal", "pascal=0", "pascal=-1", "pascal=nan", "imagenet=0.1", "pascal=much"):
        with pytest.raises(ValueError, match=r"."):
            share(wrong)
