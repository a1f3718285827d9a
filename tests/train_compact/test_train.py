"""What the training of the embedded weights adds up, and what its command line takes."""

from __future__ import annotations

import random
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


def test_what_is_there_weighs_as_much_as_what_is_absent(script: Any) -> None:
    train = script("train")
    there = torch.tensor([[1.0, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
    sure = torch.tensor([[1.0, 1, 0, 1, 1], [1, 0.5, 0.5, 0.25, 0.25]])
    logits = torch.zeros(2, 5, requires_grad=True)
    train.presence_loss(logits, SimpleNamespace(presence=there, presence_weights=sure)).backward()
    pull = logits.grad
    assert pull is not None
    assert pull.sum(1).tolist() == pytest.approx([0, 0], abs=1e-7)  # the prior of either picture is one half
    assert pull[0].tolist() == pytest.approx([-1 / 24, -1 / 24, 0, -1 / 24, 1 / 8])


def test_a_picture_of_which_little_is_known_counts_little(script: Any) -> None:
    train = script("train")

    def loss(sure: list[float]) -> float:
        batch = SimpleNamespace(presence=torch.zeros(1, 2), presence_weights=torch.tensor([sure]))
        return float(train.presence_loss(torch.zeros(1, 2), batch))

    assert loss([0, 0]) == 0
    assert loss([0.03, 0]) == pytest.approx(0.2 * loss([1, 1]))
    assert loss([0.15, 0.15]) == pytest.approx(loss([1, 1]))


def test_all_but_the_chosen_parts_are_frozen(script: Any) -> None:
    train = script("train")
    parameters = {name: torch.nn.Parameter(torch.zeros(1)) for name in ("encoder.a", "decoder.presence.0", "decoder.b")}
    assert list(train.only(("decoder.presence",), parameters)) == ["decoder.presence.0"]
    assert [name for name, value in parameters.items() if value.requires_grad] == ["decoder.presence.0"]
    with pytest.raises(SystemExit, match="no part begins so"):
        train.only(("presence",), parameters)


@pytest.mark.parametrize(("prompts", "absent", "there"), [(6, 1, 3), (6, 4, 2), (3, 3, 0), (3, 1, 2)])
def test_so_many_absent_names_are_asked_for(script: Any, prompts: int, absent: int, there: int) -> None:
    maker = SimpleNamespace(prompts=prompts, absent=absent, frequency={"a": {}}, merged={"a": []})
    shot = SimpleNamespace(source="a", atoms={1: "hair", 2: "nose", 3: "left eye"})
    names = script("batches").BatchMaker._positives(maker, shot, random.Random(0))
    assert len(names) == prompts
    assert [name is None for name in names] == [False] * there + [True] * (prompts - there)
