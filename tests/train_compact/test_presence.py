"""What presence learns from: pictures and names are in balance, and the balance survives a resume."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F


def asked(there: list[list[float]], names: list[list[int]], sure: list[list[float]] | None = None) -> Any:
    """A batch of prompts, with the index of each one's name."""
    answers = torch.tensor(there)
    weights = torch.ones_like(answers) if sure is None else torch.tensor(sure)
    return SimpleNamespace(presence=answers, presence_weights=weights, names=torch.tensor(names))


def pulls(loss: Any, batch: Any) -> torch.Tensor:
    """How much each prompt weighs in the loss: at logit 0 the gradient of a cross-entropy is half of the weight."""
    presence = torch.zeros_like(batch.presence, requires_grad=True)
    loss(presence, batch).backward()
    assert presence.grad is not None
    return presence.grad.abs() * presence.numel() * 2


def test_on_each_picture_what_is_there_weighs_as_much_as_what_is_absent(script: Any) -> None:
    there = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    sure = torch.tensor([[1.0, 0.5, 0.5, 0.5], [1, 1, 1, 0.25], [1, 1, 1, 1], [1, 1, 0, 1]])
    expected = [[1, 1 / 3, 1 / 3, 1 / 3], [0.25 / 3, 0.25 / 3, 0.25 / 3, 0.25], [0] * 4, [0] * 4]
    torch.testing.assert_close(script("presence").even(there, sure), torch.tensor(expected))


def test_what_was_never_asked_before_in_balance_is_the_plain_cross_entropy(script: Any) -> None:
    loss = script("presence").PresenceLoss(2)
    batch = asked([[1.0, 0.0], [0.0, 1.0]], [[0, 1], [0, 1]])
    presence = torch.randn(2, 2)
    torch.testing.assert_close(loss(presence, batch), F.binary_cross_entropy_with_logits(presence, batch.presence))


def test_the_rare_side_of_a_name_weighs_more(script: Any) -> None:
    """Name 0 is mostly absent, name 1 mostly there: in the long run the sides of both weigh alike."""
    room = script("presence")
    loss = room.PresenceLoss(2)
    rows = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    batch = asked(rows, [[0, 1]] * 4)
    weights = pulls(loss, batch)
    yes, no = (weights * batch.presence).sum(0), (weights * (1 - batch.presence)).sum(0)
    torch.testing.assert_close(yes, no)
    assert float(weights[0, 0]) == pytest.approx(2.0), "there in one of four: twice the weight, the others 2/3"
    assert float(weights[1, 0]) == pytest.approx(2 / 3)


def test_no_side_weighs_more_than_the_most(script: Any) -> None:
    room = script("presence")
    loss = room.PresenceLoss(2)
    often = asked([[0.0, 1.0]] * 99, [[0, 1]] * 99)
    once = asked([[1.0, 0.0]], [[0, 1]])
    loss(torch.zeros(99, 2), often)
    assert float(pulls(loss, once).max()) == pytest.approx(room.MOST)


def test_names_that_are_never_there_keep_their_weight(script: Any) -> None:
    loss = script("presence").PresenceLoss(3)
    batch = asked([[1.0, 0.0], [1.0, 0.0]], [[0, 2], [0, 2]])
    assert pulls(loss, batch)[:, 1].tolist() == [1.0, 1.0]


def test_the_count_goes_on_where_it_was(script: Any) -> None:
    room = script("presence")
    first, second = room.PresenceLoss(2), room.PresenceLoss(2)
    batch = asked([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [[0, 1]] * 3)
    first(torch.zeros(3, 2), batch)
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    presence = torch.randn(3, 2)
    torch.testing.assert_close(first(presence, batch), second(presence, batch))
    fresh = room.PresenceLoss(2)
    uneven = asked([[1.0, 0.0]], [[0, 1]])
    assert not torch.allclose(first(presence[:1], uneven), fresh(presence[:1], uneven))
