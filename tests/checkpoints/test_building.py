"""Networks without weights: nothing is drawn, nothing is filled, and torch's compiler stays unloaded."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from wordmask.checkpoints.building import no_weights


def test_parameters_lie_on_the_meta_device_and_draw_no_random_number() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with no_weights():
        network = nn.TransformerEncoderLayer(16, 2, 32)
        nn.init.normal_(network.linear1.weight)
    assert {weight.device.type for weight in network.state_dict().values()} == {"meta"}
    assert torch.equal(torch.get_rng_state(), before)
    assert [weight.shape for weight in (network.linear1.weight, network.norm1.bias)] == [(32, 16), (16,)]


def test_initialisation_works_again_afterwards() -> None:
    with no_weights():
        nn.Linear(2, 2)
    assert nn.init.constant_(torch.empty(3), 2.0).tolist() == [2.0, 2.0, 2.0]
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_loading_the_embedded_weights_does_not_import_torchs_compiler() -> None:
    """`torch._dynamo` and sympy take longer to import than the weights take to load."""
    code = "import sys, wordmask; wordmask.load(device='cpu'); print({'torch._dynamo', 'sympy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
