"""Losses on sampled points, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from wordmask.losses.sampled_masks import PointSampling, point_losses, sample_points, values_at


def test_values_are_bilinear_between_centres_of_pixels() -> None:
    maps = torch.arange(16.0).view(1, 4, 4)
    points = torch.tensor([[[0.125, 0.125], [0.375, 0.125], [0.25, 0.125], [0.5, 0.5], [1.0, 1.0]]])
    torch.testing.assert_close(values_at(maps, points), torch.tensor([[0.0, 1.0, 0.5, 7.5, 15.0]]))


def test_losses_of_four_by_four_pixels_by_hand() -> None:
    logits = torch.full((1, 4, 4), 2.0)
    masks = torch.zeros(1, 4, 4)
    masks[0, :, :2] = 1
    boxes = torch.tensor([[0.0, 0, 0.5, 1]])
    sampling = PointSampling(
        4000, important=0.0, scale=1e-6
    )  # all points in the middle of the box, where the mask is 1
    bce, dice = point_losses(logits, masks, torch.ones_like(masks), boxes, sampling, torch.Generator())
    probability = 1 / (1 + math.exp(-2))
    assert float(bce) == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)
    assert float(dice) == pytest.approx(1 - (2 * 4000 * probability + 1) / (4000 * probability + 4000 + 1), abs=1e-6)
    unknown = torch.zeros_like(masks)
    bce, dice = point_losses(logits, masks, unknown, boxes, sampling, torch.Generator())
    assert (float(bce), float(dice)) == (0.0, 0.0)


def test_a_quarter_of_the_points_lies_in_the_enlarged_box() -> None:
    logits = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.5, 0.5, 0.52, 0.51], [0.95, 0.0, 1.0, 0.02]])
    points = sample_points(logits, boxes, PointSampling(1000), torch.Generator().manual_seed(1))
    assert points.shape == (2, 1000, 2)
    assert ((points >= 0) & (points <= 1)).all()
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    inside = ((points - centre[:, None]).abs() <= half[:, None] + 1e-6).all(dim=2)
    assert (inside.float().mean(dim=1) >= 0.25).all()
    again = sample_points(logits, boxes, PointSampling(1000), torch.Generator().manual_seed(1))
    assert torch.equal(points, again)


def test_important_points_lie_where_the_logit_is_near_zero() -> None:
    logits = torch.linspace(-5, 5, 64).view(1, 1, 64).expand(1, 64, 64)
    points = sample_points(logits, torch.tensor([[0.0, 0, 1, 1]]), PointSampling(400), torch.Generator().manual_seed(0))
    doubt = values_at(logits, points).abs()[0]
    assert doubt[:300].max() < doubt[300:].mean()
