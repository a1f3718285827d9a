"""What is taken from another run for presence changes no mask; several runs give the mean of their weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.methods.test_compact import TINY, tiny_network


def test_presence_alone_depends_on_what_is_taken(script: Any) -> None:
    network, chosen = tiny_network(), script("export").PRESENCE
    torch.manual_seed(0)
    pixels, conditions = torch.randn(1, 3, 64, 96), torch.randn(1, 2, TINY.condition)
    with torch.no_grad():
        before = network.decoder(network.encode(pixels), conditions)
        for name, value in network.named_parameters():
            if name.startswith(chosen):
                value.add_(torch.randn_like(value))
        after = network.decoder(network.encode(pixels), conditions)
    assert torch.equal(before[0], after[0])
    assert not torch.isclose(before[1], after[1]).any()


def test_several_runs_give_the_mean_of_their_weights(script: Any) -> None:
    mean, steps = script("export").mean, torch.tensor(3)
    one, two = ({"weight": torch.full((2, 2), value), "steps": steps * int(value)} for value in (1.0, 2.0))
    result = mean([one, two])
    assert result["weight"].tolist() == [[1.5, 1.5], [1.5, 1.5]]
    assert result["steps"] == 3, "whole numbers are the first run's"
    assert torch.equal(mean([two])["weight"], two["weight"])


@pytest.mark.parametrize("other", [{"weight": torch.zeros(3)}, {"weight": torch.zeros(2, 2), "more": torch.zeros(1)}])
def test_runs_of_different_networks_are_refused(script: Any, other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="different shape"):
        script("export").mean([{"weight": torch.zeros(2, 2)}, other])
