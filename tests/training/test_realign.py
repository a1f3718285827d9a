"""Heads that follow their encoder: folded layers answer alike where the features are linear in one another."""

from __future__ import annotations

import torch

from wordmask.backbones.crop.network import CropConfig, CropNetwork
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.features import TrunkMaps
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.training.realign import LinearMap, fit_linear, realign_crop_network, realign_pmp

SIZES = {"stride4": 40, "stride8": 96, "stride16": 192, "stride32": 288, "fine": 32, "coarse": 96}


def changed() -> tuple[dict[str, LinearMap], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Maps, new features and the old ones that the maps make of them."""
    generator = torch.Generator().manual_seed(0)
    maps, new, old = {}, {}, {}
    sides = {"stride4": 16, "stride8": 8, "stride16": 4, "stride32": 2, "fine": 16, "coarse": 8}
    for name, channels in SIZES.items():
        weight = torch.eye(channels) + 0.1 * torch.randn(channels, channels, generator=generator)
        maps[name] = LinearMap(weight, torch.randn(channels, generator=generator), 1.0)
        new[name] = torch.randn(1, channels, sides[name], sides[name], generator=generator)
        bias = maps[name].bias[None, :, None, None]
        old[name] = torch.einsum("dc,bchw->bdhw", weight, new[name]) + bias
    return maps, new, old


def test_a_linear_change_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    new, weight = torch.randn(500, 6, generator=generator), torch.randn(4, 6, generator=generator)
    found = fit_linear(new, new @ weight.T + 3)
    torch.testing.assert_close(found.weight, weight, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.bias, torch.full((4,), 3.0), atol=1e-3, rtol=0)
    assert found.explained > 0.999
    assert fit_linear(new, torch.randn(500, 4, generator=generator)).explained < 0.1


def test_the_crop_network_answers_as_before() -> None:
    maps, new, old = changed()
    torch.manual_seed(0)
    network, follower = CropNetwork(CropConfig()).eval(), CropNetwork(CropConfig()).eval()
    follower.load_state_dict(realign_crop_network(network.state_dict(), maps))
    pixels, coarse = torch.randn(1, 3, 64, 64), torch.randn(1, 64, 64)
    levels = ("stride4", "stride8", "stride16", "stride32")
    with torch.no_grad():
        wanted, got = (
            which(pixels, coarse, [values[name] for name in levels])
            for which, values in ((network, old), (follower, new))
        )
        assert not torch.allclose(network(pixels, coarse, [new[name] for name in levels]), wanted, atol=1e-2)
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-3)


def test_the_query_decoder_and_centres_read_the_same() -> None:
    maps, new, old = changed()
    torch.manual_seed(0)
    config = DecoderConfig(queries=4, fine=32, coarse=96, deep=192, deepest=288, centres=64)
    network, follower = ProposalNetwork(config).eval(), ProposalNetwork(config).eval()
    follower.load_state_dict(realign_pmp(network.state_dict(), maps))
    points = torch.rand(1, 9, 2)
    answers = []
    with torch.no_grad():
        for which, values in ((network, old), (follower, new)):
            seen = TrunkMaps(values["fine"], values["coarse"], values["stride16"], values["stride32"])
            read = which.memory(seen)
            assert which.centres is not None
            answers.append(
                [*read.memories, which.mask_features.at(read, points), which.centres.encode(seen, read.mixed)]
            )
    for got, wanted in zip(answers[1], answers[0], strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-3, rtol=2e-3)
