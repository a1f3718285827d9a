"""What is taken from another run for presence changes no mask; several runs give the mean of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.methods.test_compact import TINY, tiny_network, tiny_tokenizer
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.settings import CompactSettings


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
    mean = script("export").mean
    one, two = ({"weight": torch.full((2, 2), value)} for value in (1.0, 2.0))
    assert mean([one, two])["weight"].tolist() == [[1.5, 1.5], [1.5, 1.5]]
    assert torch.equal(mean([two])["weight"], two["weight"])


def test_a_run_and_weights_that_ship_are_averaged(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The phrase encoder is that of --text, and a folder that ships holds all that a run does."""
    export = script("export")
    monkeypatch.setattr(export, "CompactConfig", lambda: TINY)
    networks = [tiny_network(), tiny_network()]
    for network in networks:
        for value in network.parameters():
            torch.nn.init.normal_(value)
    shipped, run, out = tmp_path / "shipped", tmp_path / "run", tmp_path / "mean"
    save_compact(shipped, "tiny", networks[0], TINY, CompactSettings(), tiny_tokenizer())
    run.mkdir()
    average = {k: v for k, v in networks[1].state_dict().items() if not k.startswith("text.")}
    torch.save({"average": average, "step": 7}, run / "last.pt")
    monkeypatch.setattr(
        "sys.argv", ["export.py", "--run", str(shipped), str(run), "--text", str(shipped), "--out", str(out)]
    )
    export.main()
    assert "weights that ship and step 7" in capsys.readouterr().out
    found = load_file(out / "model.safetensors")
    one, two = (network.state_dict() for network in networks)
    for name, value in found.items():
        wanted = one[name] if name.startswith("text.") else (one[name].half().float() + two[name]) / 2
        torch.testing.assert_close(value.float(), wanted, rtol=2e-3, atol=1e-4)
    (answer,) = load_compact(out).segment(np.zeros((40, 40, 3), np.uint8), "a cat")
    assert answer.mask.shape == (40, 40)


@pytest.mark.parametrize("other", [{"weight": torch.zeros(3)}, {"weight": torch.zeros(2, 2), "more": torch.zeros(1)}])
def test_runs_of_different_networks_are_refused(script: Any, other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="different shape"):
        script("export").mean([{"weight": torch.zeros(2, 2)}, other])
