"""Raising one presence head on some images; copies of weights without the heads that came later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from torch import nn

import wordmask
from wordmask.methods.table import WEIGHTS
from wordmask.training.compact.own_presence import raise_presence, save_presence_head, without_pooled_presence

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_there_is_raised_on_the_chosen_images_alone() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1))
    pooled, there = torch.randn(40, 4, 8), torch.zeros(40, 4)
    there[:, :2] = 1
    pooled[..., 0] += 4 * there  # the inputs tell what is there
    raised = torch.arange(40) < 20
    pooled[..., 1] += 4 * raised[:, None]  # and what kind of image it is
    before = head(pooled)[..., 0].detach()
    raise_presence(head, pooled, before, there, raised, logit=4.0, steps=1000)
    change = (head(pooled)[..., 0] - before).detach()
    assert (before + change)[:20, :2].mean() > 2.5
    assert change[20:].abs().mean() < 0.3


def test_a_copy_without_the_later_heads_can_be_loaded(tmp_path: Path) -> None:
    copy = without_pooled_presence(WEIGHTS / "compact", tmp_path / "copy")
    assert json.loads((copy / "config.json").read_text())["network"]["pooled_presence"] == 0
    model = wordmask.load(copy).model
    assert model.network.decoder.pooled is None
    head = model.network.decoder.presence
    with torch.no_grad():
        head[-1].bias.fill_(3.5)
    save_presence_head(copy, head)
    assert wordmask.load(copy).model.network.decoder.presence[-1].bias.tolist() == [3.5]
