"""CLIPSeg's decoder and heads alone: golden checks 1, 2, 6, 7, 8, and 10 for the conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wordmask.errors import CheckpointError
from wordmask.methods.clipseg.config import ClipSegConfig
from wordmask.methods.clipseg.decoder import MaskDecoder, ReducedActivations
from wordmask.methods.clipseg.decoder_block import DecoderBlock
from wordmask.methods.clipseg.deconv import DeconvDecoder
from wordmask.methods.clipseg.head import PlainHead, RefinedHead
from wordmask.methods.clipseg.model import mix_condition

GOLDEN = json.loads((Path(__file__).parent / "golden_clipseg.json").read_text())
GRID = (22, 22)


def decoder(**changes: Any) -> MaskDecoder:
    return MaskDecoder(ClipSegConfig(vision={"patch_size": 16}, **changes)).eval()


def small(**changes: Any) -> MaskDecoder:
    torch.manual_seed(0)
    vision = {"patch_size": 16, "hidden_size": 24}
    return MaskDecoder(
        ClipSegConfig(vision=vision, projection_dim=12, reduce_dim=8, heads=2, feedforward=16, **changes)
    ).eval()


def deconv() -> DeconvDecoder:
    return DeconvDecoder(ClipSegConfig(vision={"patch_size": 16}, extract_layers=(9,), decoder="deconv")).eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def fill(module: nn.Module, names: list[str]) -> None:
    """Parameter j, flat position k: 0.04 sin(0.7 k + j), plus one in the weights of norms."""
    own = module.state_dict()
    assert set(names) - set(own) <= {"reduce.weight", "reduce.bias"}
    for index, name in enumerate(names):
        if name in own:
            positions = torch.arange(own[name].numel(), dtype=torch.float64)
            offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            own[name] = (0.04 * torch.sin(0.7 * positions + index) + offset).view(own[name].shape)
    module.load_state_dict(own)


def readout(level: int) -> Tensor:
    tokens, batch, channels = torch.arange(485.0), torch.arange(2.0), torch.arange(768.0)
    angle = 0.01 * (tokens.double()[None, :, None] + 1) * (level + 1) + 0.1 * batch[:, None, None] + 0.003 * channels
    return torch.sin(angle).float()


CONDITIONS = torch.cos(0.02 * torch.arange(512.0)[None] + torch.arange(2.0)[:, None])


def assert_golden(logits: Tensor, key: str) -> None:
    expected = GOLDEN[key]
    logits = logits.detach()
    assert [logits.shape[0], 1, *logits.shape[1:]] == expected["shape"]
    got = {
        "mean": logits.mean(),
        "std": logits.std(),
        "p000": logits[0, 0, 0],
        "p_0_175_200": logits[0, 175, 200],
        "p_1_351_351": logits[1, 351, 351],
        "p_1_8_340": logits[1, 8, 340],
    }
    assert {name: float(value) for name, value in got.items()} == pytest.approx(
        {name: expected[name] for name in got}, abs=2e-6
    )


@pytest.mark.parametrize(
    ("changes", "with_dead", "without"),
    [
        ({}, 1_122_369, 1_073_153),
        ({"reduce_dim": 128}, 2_336_897, 2_238_465),
        ({"reduce_dim": 16}, 275_985, 263_681),
        ({"refined": True}, 1_176_225, 1_127_009),
        ({"extract_layers": (3,)}, 461_633, 412_417),
    ],
    ids=["rd64", "rd128", "rd16", "refined", "one layer"],
)
def test_parameter_counts(changes: dict[str, Any], with_dead: int, without: int) -> None:
    assert count(decoder(**changes)) == without
    assert without + count(nn.Linear(768, changes.get("reduce_dim", 64))) == with_dead


def test_parameter_count_of_clip_deconv() -> None:
    assert count(deconv()) == 139_585


@pytest.mark.parametrize(
    ("key", "changes"),
    [("rd64", {}), ("rd64_refined", {"refined": True}), ("rd16", {"reduce_dim": 16})],
)
@pytest.mark.parametrize("inference", [True, False], ids=["inference", "training path"])
def test_golden_decoders(key: str, changes: dict[str, Any], inference: bool) -> None:
    network = decoder(**changes)
    fill(network, GOLDEN[key]["names"])
    with torch.inference_mode(inference):
        logits = network(network.reduce([readout(1), readout(2), readout(3)], GRID), CONDITIONS)
    assert_golden(logits, key)


def test_golden_clip_deconv() -> None:
    network = deconv()
    fill(network, GOLDEN["deconv64"]["names"])
    with torch.inference_mode():
        assert_golden(network(network.reduce([readout(0)], GRID), CONDITIONS), "deconv64")


def test_a_block_is_torchs_default_transformer_layer() -> None:
    block = DecoderBlock(8, 2, 16).eval()
    theirs = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True).eval()
    theirs.load_state_dict(block.state_dict())
    tokens = torch.randn(3, 263, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(tokens), theirs(tokens), atol=1e-5, rtol=0)
    torch.testing.assert_close(block(tokens), theirs(tokens), atol=1e-5, rtol=0)
    at_once = DecoderBlock(8, 2, 16, dropout=1e-12).train()  # with dropout, and on a GPU, no tiles are made
    at_once.load_state_dict(block.state_dict())
    torch.testing.assert_close(at_once(tokens), theirs(tokens), atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):  # nor here
        torch.testing.assert_close(block(tokens).float(), theirs(tokens).float(), atol=0.1, rtol=0)


def tokens(*, images: int = 1, grid: tuple[int, int] = (3, 5), depth: int = 3) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(images, 1 + grid[0] * grid[1], 24) for _ in range(depth)]


def test_one_image_and_many_prompts_equal_the_image_repeated() -> None:
    network, read, conditions = small(refined=True), tokens(), torch.randn(4, 12)
    shared = network(network.reduce(read, (3, 5)), conditions)
    repeated = network(network.reduce([level.expand(4, -1, -1) for level in read], (3, 5)), conditions)
    assert shared.shape == (4, 48, 80)
    torch.testing.assert_close(shared, repeated, atol=1e-6, rtol=0)


def test_film_of_ones_and_zeros_makes_the_condition_irrelevant() -> None:
    network, read, conditions = small(), tokens(), torch.randn(2, 12)
    with torch.no_grad():
        apart = network(network.reduce(read, (3, 5)), conditions)
        assert (apart[0] - apart[1]).abs().max() > 1e-3
        for layer, bias in ((network.film_mul, 1.0), (network.film_add, 0.0)):
            layer.weight.zero_()
            layer.bias.fill_(bias)
        same = network(network.reduce(read, (3, 5)), conditions)
    torch.testing.assert_close(same[0], same[1], atol=1e-6, rtol=0)


def test_the_length_of_the_condition_matters() -> None:
    network, read, condition = small(), tokens(), torch.randn(1, 12)
    activations = network.reduce(read, (3, 5))
    with torch.no_grad():
        assert (network(activations, condition) - network(activations, 2 * condition)).abs().max() > 1e-3


def test_film_gates_the_deepest_activations_only() -> None:
    network, read = small(), tokens()
    with torch.no_grad():
        network.film_mul.bias.zero_()
        network.film_add.bias.zero_()
        plain = network(network.reduce(read, (3, 5)), torch.zeros(1, 12))
        deepest = network(network.reduce([*read[:2], read[2] + 1], (3, 5)), torch.zeros(1, 12))
        shallow = network(network.reduce([read[0] + 1, *read[1:]], (3, 5)), torch.zeros(1, 12))
    torch.testing.assert_close(plain, deepest, atol=0, rtol=0)
    assert (plain - shallow).abs().max() > 1e-3


def test_the_conditional_layer_can_be_a_later_one() -> None:
    network, read = small(conditional_layer=1), tokens()
    with torch.no_grad():
        network.film_mul.bias.zero_()
        network.film_add.bias.zero_()
        plain = network(network.reduce(read, (3, 5)), torch.zeros(1, 12))
        middle = network(network.reduce([read[0], read[1] + 1, read[2]], (3, 5)), torch.zeros(1, 12))
        shallow = network(network.reduce([read[0] + 1, *read[1:]], (3, 5)), torch.zeros(1, 12))
    torch.testing.assert_close(plain, middle, atol=0, rtol=0)
    assert (plain - shallow).abs().max() > 1e-3


def test_the_class_token_takes_part_but_gets_no_pixels() -> None:
    network, read, condition = small(), tokens(), torch.randn(1, 12)
    changed = [level.clone() for level in read]
    for level in changed:
        level[:, 0] += 1
    with torch.no_grad():
        before, after = (network(network.reduce(levels, (3, 5)), condition) for levels in (read, changed))
    assert before.shape == after.shape == (1, 48, 80)
    assert (before - after).abs().max() > 1e-3


def test_activations_are_laid_out_deepest_first() -> None:
    network, read = small(), tokens()
    activations = network.reduce(read, (3, 5))
    assert isinstance(activations, ReducedActivations)
    assert activations.patch_tokens.shape == (1, 3, 3, 5, 8)
    expected = network.reduces[0](read[2])
    torch.testing.assert_close(activations.class_tokens[:, 0], expected[:, 0])
    torch.testing.assert_close(activations.patch_tokens[0, 0, 1, 2], expected[0, 1 + 1 * 5 + 2])


def test_the_plain_head_is_a_linear_map_per_token() -> None:
    head, cells = PlainHead(8, 16), torch.randn(2, 3, 4, 8)
    logits = head(cells)
    kernel = head.weight[:, 0]  # (8, 16, 16)
    for row, column in ((0, 0), (1, 3), (2, 2)):
        expected = torch.einsum("pd,dab->pab", cells[:, row, column], kernel) + head.bias
        square = logits[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        torch.testing.assert_close(square, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [PlainHead, RefinedHead])
def test_heads_equal_torchs_transposed_convolutions(kind: type[PlainHead | RefinedHead]) -> None:
    torch.manual_seed(0)
    head, cells = kind(8, 16), torch.randn(2, 3, 5, 8)
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    expected = cells.permute(0, 3, 1, 2)
    for layer in layers:
        forward = nn.ConvTranspose2d.forward if isinstance(layer, nn.ConvTranspose2d) else type(layer).forward
        expected = forward(layer, expected)
    torch.testing.assert_close(head(cells), expected[:, 0], atol=1e-5, rtol=0)


def test_the_refined_head_needs_patches_of_16() -> None:
    with pytest.raises(CheckpointError, match="patches of 32"):
        ClipSegConfig(vision={"patch_size": 32}, refined=True)


@pytest.mark.parametrize("layers", [(), (3, 12), (-1, 3)])
def test_extracted_layers_must_exist(layers: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match="0 to 11"):
        ClipSegConfig(vision={"patch_size": 16}, extract_layers=layers)


def test_dropout_acts_in_training_only() -> None:
    network, read, condition = small(), tokens(), torch.randn(1, 12)
    network.train()
    noisy = [network(network.reduce(read, (3, 5)), condition) for _ in range(2)]
    assert (noisy[0] - noisy[1]).abs().max() > 1e-4
    network.eval()
    still = [network(network.reduce(read, (3, 5)), condition) for _ in range(2)]
    torch.testing.assert_close(still[0], still[1], atol=0, rtol=0)


def test_mixing_goes_from_the_example_to_the_text() -> None:
    text, visual = torch.randn(3, 12), torch.randn(3, 12)
    torch.testing.assert_close(mix_condition(text, visual, 1.0), text)
    torch.testing.assert_close(mix_condition(text, visual, 0.0), visual)
    weights, valid = torch.tensor([0.25, 0.25, 0.0]), torch.tensor([True, False, False])
    mixed = mix_condition(text, visual, weights, valid)
    torch.testing.assert_close(mixed[0], 0.25 * text[0] + 0.75 * visual[0])
    torch.testing.assert_close(mixed[1:], text[1:])
