"""What is taken from another run for presence changes no mask."""

from __future__ import annotations

from typing import Any

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
