"""Distillation of masks and presence."""

import math

import torch

from wordmask.losses.distillation import distillation_losses


def test_equal_answers_cost_the_entropy_of_the_teacher_and_have_no_gradient():
    logits = torch.tensor([[[0.0, 2.0]]], requires_grad=True)
    presence = torch.tensor([1.5], requires_grad=True)
    losses = distillation_losses(logits, logits.detach(), presence, presence.detach())

    def entropy(logit: float) -> float:
        p = 1 / (1 + math.exp(-logit))
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    believed = 1 / (1 + math.exp(-1.5))
    expected = believed * (entropy(0.0) + entropy(2.0)) / 2
    torch.testing.assert_close(losses["distilled_masks"].item(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(losses["distilled_presence"].item(), entropy(1.5), rtol=1e-5, atol=0)
    sum(losses.values()).backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-7)
    torch.testing.assert_close(presence.grad, torch.zeros_like(presence), rtol=0, atol=1e-7)


def test_the_mask_of_a_phrase_that_the_teacher_denies_does_not_count():
    logits, teacher = torch.zeros(1, 2, 2), torch.full((1, 2, 2), 8.0)
    denied = distillation_losses(logits, teacher, torch.tensor([-20.0]), torch.tensor([-20.0]))
    believed = distillation_losses(logits, teacher, torch.tensor([-20.0]), torch.tensor([20.0]))
    assert denied["distilled_masks"] < 1e-6
    torch.testing.assert_close(believed["distilled_masks"].item(), math.log(2), rtol=1e-3, atol=0)
    assert believed["distilled_presence"] > 19


def test_without_a_presence_head_every_mask_counts():
    losses = distillation_losses(torch.zeros(2, 1, 1), torch.zeros(2, 1, 1), None, None)
    assert set(losses) == {"distilled_masks"}
    torch.testing.assert_close(losses["distilled_masks"].item(), math.log(2), rtol=1e-6, atol=0)
