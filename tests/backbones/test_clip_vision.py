"""CLIP's vision tower as CLIPSeg reads it: golden checks 3 and 19, and agreement with transformers' own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.test_clipseg_decoder import GOLDEN
from wordmask.backbones.clip import vision
from wordmask.backbones.clip.build import build_clip, random_vision
from wordmask.backbones.clip.vision import VisionTower, clip_vision_tower
from wordmask.backbones.position_table import resize_position_table
from wordmask.backbones.token_mask import TokenMask
from wordmask.errors import CheckpointError

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 5,
    "patch_size": 16,
    "image_size": 64,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "vocab_size": 20,
    "bos_token_id": 18,
    "eos_token_id": 19,
}


def clip(**changes: Any) -> Any:
    model = build_clip({**VISION, **changes}, TEXT, projection_dim=24)
    torch.manual_seed(0)
    weights = {}
    for name, empty in model.state_dict().items():
        weights[name] = 1 + 0.1 * torch.randn(empty.shape) if "norm" in name else 0.2 * torch.randn(empty.shape)
    model.load_state_dict(weights, assign=True)
    for module in model.modules():  # what no checkpoint holds, and transformers' own forward needs
        if (numbers := getattr(module, "position_ids", None)) is not None:
            module.position_ids = torch.arange(numbers.shape[-1]).expand(1, -1)
    return model


def tower(**changes: Any) -> VisionTower:
    return clip_vision_tower(clip(**changes), extract_layers=(1, 3)).eval()


def pixels(height: int = 64, width: int = 64, *, images: int = 2) -> Tensor:
    return torch.randn(images, 3, height, width, generator=torch.Generator().manual_seed(3))


def test_golden_position_table() -> None:
    table = torch.sin(0.05 * torch.arange(197 * 768, dtype=torch.float64)).float().view(197, 768)
    resized, expected = resize_position_table(table, 22, 22), GOLDEN["posemb22"]
    assert list(resized.shape) == expected["shape"]
    torch.testing.assert_close(resized[0], table[0], atol=0, rtol=0)
    assert resized[0, 0] == expected["r0_0"]
    got = [resized[1, 0], resized[100, 5], resized[484, 767], resized.mean()]
    wanted = [expected[key] for key in ("r1_0", "r100_5", "r484_767", "mean")]
    assert [float(value) for value in got] == pytest.approx(wanted, abs=1e-5)
    torch.testing.assert_close(resize_position_table(table, 14, 14), table, atol=0, rtol=0)


def test_position_tables_of_oblong_grids_are_resized_along_each_axis() -> None:
    table = torch.randn(17, 6)
    wide = resize_position_table(table, 4, 9)
    assert wide.shape == (37, 6)
    grid = table[1:].view(4, 4, 6)
    row = torch.nn.functional.interpolate(
        grid[2].t()[None, :, None, :], size=(1, 9), mode="bicubic", align_corners=False
    )
    torch.testing.assert_close(wide[1 + 2 * 9 : 1 + 3 * 9], row[0, :, 0].t(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (48, 112)], ids=str)
def test_activations_equal_transformers(size: tuple[int, int]) -> None:
    model = clip()
    with torch.no_grad():
        output = model.vision_model(pixels(*size), interpolate_pos_encoding=True, output_hidden_states=True)
        pooled = model.visual_projection(output.pooler_output)
        ours = clip_vision_tower(clip(), extract_layers=(1, 3)).eval()
        first, second = ours(pixels(*size))
        torch.testing.assert_close(first, output.hidden_states[2], atol=1e-5, rtol=0)
        torch.testing.assert_close(second, output.hidden_states[4], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.pooled(pixels(*size)), pooled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_activations(activation: str) -> None:
    model = clip(hidden_act=activation)
    with torch.no_grad():
        expected = model.vision_model(pixels(), interpolate_pos_encoding=True).last_hidden_state
        ours = clip_vision_tower(model, extract_layers=(4,)).eval()
        torch.testing.assert_close(ours(pixels())[0], expected, atol=1e-5, rtol=0)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'relu'"):
        tower(hidden_act="relu")


def test_blocks_after_the_last_extracted_one_do_not_run() -> None:
    network, ran = tower(), []
    for index, block in enumerate(network.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    network(pixels())
    assert ran == [0, 1, 2, 3]
    ran.clear()
    network.pooled(pixels())
    assert ran == [0, 1, 2, 3, 4]


def test_position_tables_are_made_once_per_grid_and_not_without_bound() -> None:
    network = tower()
    first = network._table((3, 5), network.positions)
    assert network._table((3, 5), network.positions) is first
    for width in range(1, 40):
        network._table((1, width), network.positions)
    assert len(network._tables) <= 16


@pytest.mark.parametrize("kind", ["cls_token", "all"])
@pytest.mark.parametrize("layers", [None, (4,)], ids=["all layers", "last layer"])
def test_token_masks_in_batches_equal_one_by_one(kind: Any, layers: tuple[int, ...] | None) -> None:
    network, images = tower(), pixels(64, 96, images=3)
    masks = torch.zeros(3, 64, 96)
    masks[0, :32, :32], masks[1, 16:, 48:], masks[2, :, 80:] = 1, 1, 1
    together = network.pooled(images, TokenMask(masks, kind, layers))
    for index in range(3):
        alone = network.pooled(images[index : index + 1], TokenMask(masks[index : index + 1], kind, layers))
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-5, rtol=0)
    unmasked = network.pooled(images)
    if kind == "cls_token" or layers is None:
        assert ((together - unmasked).abs().amax(1) > 1e-3).all()


@pytest.mark.parametrize("kind", ["cls_token", "all"])
def test_a_token_mask_of_ones_changes_nothing(kind: Any) -> None:
    network = tower()
    masked = network.pooled(pixels(), TokenMask(torch.ones(2, 64, 64), kind))
    torch.testing.assert_close(masked, network.pooled(pixels()), atol=1e-5, rtol=0)


def test_token_masks_name_the_entries_they_multiply() -> None:
    mask = torch.zeros(1, 4, 4)
    mask[0, 0, :] = 1
    first = TokenMask(mask, "cls_token").factors((2, 2))[0, 0]
    assert first[0].tolist() == [1, 1, 1, 0, 0]
    assert first[1:].min() == 1
    patches = TokenMask(mask, "all").factors((2, 2))[0, 0]
    assert patches[0].tolist() == [1, 1, 1, 1, 1]
    assert patches[3].tolist() == [1, 1, 1, 0, 0]


def test_impossible_settings_are_a_checkpoint_error() -> None:
    with pytest.raises(CheckpointError, match="CLIP settings"):
        build_clip({**VISION, "num_attention_heads": 5}, TEXT, projection_dim=24)


def test_threads_share_the_position_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """More shapes than tables are kept, so that threads drop each other's while they ask for their own."""
    encoder, like = tower(), torch.zeros(1)
    monkeypatch.setattr(vision, "resize_position_table", lambda table, height, width: torch.zeros(height, width))
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def ask(start: int) -> bool:
        grids = [((start + step) % 40 + 1, 2) for step in range(3000)]
        return all(encoder._table(grid, like).shape == grid for grid in grids)

    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(0, 40, 5)))
    finally:
        sys.setswitchinterval(usual)


def test_a_random_vision_tower_depends_on_the_seed_alone() -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    torch.manual_seed(1)
    one = random_vision(sizes, projection_dim=24, seed=5)
    state = torch.get_rng_state()
    other, third = (random_vision(sizes, projection_dim=24, seed=seed) for seed in (5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    name = "vision_model.encoder.layers.1.mlp.fc1.weight"
    assert not torch.equal(one[name], third[name])


def test_dense_embeddings_pass_on_the_values_of_the_last_block() -> None:
    model, image = tower(), pixels(64, 96, images=1)
    found = model.dense(image)
    assert found.shape == (1, 24, 4, 6)
    tokens = model.embed(image)
    for block in model.blocks[:-1]:
        tokens = block(tokens)
    last = model.blocks[-1]
    values = last.qkv(last.norm1(tokens))[..., 64:]  # of 32 channels, behind queries and keys
    tokens = tokens + last.out(values)
    tokens = tokens + last.fc2(last.activation(last.fc1(last.norm2(tokens))))
    expected = model.projection(model.norm_out(tokens[0, 1:]))  # (24, channels)
    torch.testing.assert_close(found[0].flatten(1).T, expected, atol=1e-5, rtol=1e-4)
