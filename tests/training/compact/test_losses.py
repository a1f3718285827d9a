"""Losses of the compact network against values that follow by hand."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from wordmask.training.compact.losses import (
    box_projection,
    class_logits,
    class_loss,
    colour_affinity,
    example_loss,
    pairwise_affinity,
    relational,
)
from wordmask.training.compact.presence import ONE_SIDED, PresenceLoss, balanced


def test_a_mask_that_fills_its_box_has_no_projection_loss() -> None:
    inside = torch.zeros(2, 8, 8)
    inside[:, 2:5, 3:7] = 1
    logits = torch.where(inside > 0, 20.0, -20.0)
    logits[1] = -20  # nothing is found
    loss = box_projection(logits, inside)
    assert loss[0] < 1e-4
    torch.testing.assert_close(loss[1], torch.tensor((1 - 1 / 4) + (1 - 1 / 5)))  # projections of 3 and 4 cells


def test_neighbours_of_one_colour_pay_for_different_labels() -> None:
    pixels = torch.zeros(1, 3, 6, 6)
    pixels[..., 3:] = 9.0  # two colours, a vertical edge
    inside = torch.ones(1, 2, 6, 6)
    affinity = colour_affinity(pixels)
    assert affinity[0, 0, 0, 0] == 1  # two columns to the right: the same colour
    assert affinity[0, 0, 0, 2] < 0.3  # across the edge
    assert affinity[0, 0, 0, 5] == 0  # outside
    along = torch.where(pixels[:, :1] > 0, 20.0, -20.0)
    rows = torch.arange(6).view(1, 1, 6, 1).expand(1, 1, 6, 6)
    across = torch.where(rows < 3, 20.0, -20.0)
    loss = pairwise_affinity(torch.cat([along, across], 1), affinity, inside)
    assert loss[0, 0] < 1e-4
    assert loss[0, 1] > 1


def test_names_that_are_not_allowed_do_not_compete() -> None:
    pixel = torch.ones(1, 4, 2, 2)
    queries = torch.zeros(1, 3, 5)
    queries[0, :, -1] = torch.tensor([1.0, 2.0, 3.0])  # biases alone
    allowed = torch.tensor([[True, True, False, True]])
    logits = class_logits(pixel, queries, torch.tensor([[0, 3]]), allowed)
    assert logits.shape == (1, 2, 4)
    chance = logits.softmax(2)[0, 0]
    total = 1 + math.e + math.e**3
    torch.testing.assert_close(chance, torch.tensor([1, math.e, 0, math.e**3]) / total)
    balance = torch.tensor([[1.0, 2.0, 1.0, 1.0]])
    loss = class_loss(logits, torch.tensor([[1, -1]]), balance)
    torch.testing.assert_close(loss, torch.tensor(math.log(total) - 1))


def test_examples_that_point_at_their_phrase_cost_less() -> None:
    wanted = F.normalize(torch.eye(3) + 0.01, dim=1)
    names, there = torch.arange(3), torch.tensor([True, True, False])
    right = example_loss(wanted, wanted, names, there)
    wrong = example_loss(wanted.roll(1, 0), wanted, names, there)
    assert right < 1e-3
    assert wrong > 3


def test_features_that_correlate_cost_nothing() -> None:
    maps = torch.randn(4, 5, 3, 3)
    torch.testing.assert_close(relational(maps, 3 * maps + 1), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(relational(maps, -maps), torch.tensor(2.0), atol=1e-5, rtol=0)


def test_present_and_absent_names_of_an_image_weigh_the_same() -> None:
    there = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    sure = torch.tensor([[1.0, 0.5, 0.5, 0.5], [1, 1, 1, 0.25], [1, 1, 1, 1]])
    only = ONE_SIDED
    expected = [[1, 1 / 3, 1 / 3, 1 / 3], [0.25 / 3, 0.25 / 3, 0.25 / 3, 0.25], [only, only, only, only]]
    torch.testing.assert_close(balanced(there, sure), torch.tensor(expected))


def test_a_name_that_is_mostly_absent_weighs_more_where_it_is_present() -> None:
    loss = PresenceLoss(2)
    names, sure = torch.tensor([[0, 1]]), torch.ones(1, 2)
    for _ in range(50):
        loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]), sure, names)
    rare = torch.zeros(1, 2, requires_grad=True)
    loss(rare, torch.tensor([[1.0, 0.0]]), sure, names).backward()  # the other way round for once
    common = torch.zeros(1, 2, requires_grad=True)
    loss(common, torch.tensor([[0.0, 1.0]]), sure, names).backward()
    assert rare.grad is not None
    assert common.grad is not None
    assert (rare.grad.abs() > 3 * common.grad.abs()).all()
    again = PresenceLoss(2)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.there, loss.there)
