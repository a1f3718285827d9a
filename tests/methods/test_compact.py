"""The compact network: parts, files, and the contract of every method."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tests.methods.contract import DenseMethodContract, example, logits, random_image
from wordmask.backbones.compact.image import position_code
from wordmask.contracts import DenseOutput, Segmenter
from wordmask.errors import CheckpointError, ImageError, ModelNotFoundError, UnsupportedPromptError
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.fold import fold_norms
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.ops.geometry import letterbox
from wordmask.ops.probability import best_threshold
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

TINY = CompactConfig(
    widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), attention=1, channels=16, fine=8, pixel=12, decoder=8, condition=32,
    tokens=300, text_width=24, text_depth=1,
)  # fmt: skip
SETTINGS = CompactSettings(long_side=96, presence_scale=2.0, presence_shift=0.5, presence_threshold=0.25)


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[PAD]"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a cat", "hair", "the left eye", "the right eye"], trainer)
    return tokenizer


def tiny_network() -> CompactNetwork:
    """Random weights, norms included; attention blocks start as the shortcut alone and stay so."""
    torch.manual_seed(1)
    network = build_compact(TINY).eval()
    for name, value in network.state_dict().items():
        if "num_batches" not in name and value.is_floating_point() and value.ndim == 1:
            value.copy_(
                torch.rand_like(value) + 0.5 if "var" in name or "weight" in name else torch.randn_like(value) / 4
            )
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compact")
    save_compact(folder, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Segmenter:
    return load_compact(folder)


class TestCompact(DenseMethodContract):
    tolerance = 2e-4  # logits of random weights are tens; batches are convolved in another order

    @pytest.fixture
    def segmenter(self, loaded: Segmenter) -> Segmenter:
        return loaded


def test_saved_weights_come_back_in_half_precision(folder: Path) -> None:
    network, model = tiny_network(), load_compact(folder).model
    fold_norms(network)
    pixels = torch.randn(1, 3, 64, 96)
    ours, theirs = model.network.encode(pixels), network.encode(pixels)  # type: ignore[attr-defined]
    torch.testing.assert_close(ours.pixel, theirs.pixel, rtol=2e-2, atol=2e-2)
    assert (folder / "model.safetensors").stat().st_size < 2.2 * sum(p.numel() for p in network.parameters()) + 40_000


def test_large_variances_survive_being_saved(tmp_path: Path) -> None:
    network = tiny_network()
    network.neck.mix16[1].running_var.fill_(1e6)
    save_compact(tmp_path, "tiny", network, TINY, SETTINGS, tiny_tokenizer())
    loaded, pixels = load_compact(tmp_path).model.network, torch.randn(1, 3, 64, 96)  # type: ignore[attr-defined]
    ours, theirs = loaded.encode(pixels).coarse, network.encode(pixels).coarse
    torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("prompt", ["hair", example()])
def test_the_first_convolutions_stay_in_float32(folder: Path, prompt: Any) -> None:
    exact, rough = load_compact(folder), load_compact(folder, dtype=torch.bfloat16)
    network = rough.model.network  # type: ignore[attr-defined]
    assert {p.dtype for p in network.encoder.stem.parameters()} == {torch.float32}
    assert {p.dtype for p in network.encoder.stages.parameters()} == {torch.bfloat16}
    stems = [s.model.network.encoder.stem(torch.ones(1, 3, 32, 32)).float() for s in (exact, rough)]  # type: ignore[attr-defined]
    torch.testing.assert_close(*stems, rtol=2**-8, atol=0)  # rounded once, at the end
    one, other = (s.segment(random_image(), prompt)[0].heatmap_logits.values for s in (exact, rough))
    assert 0 < np.linalg.norm(other - one) < 0.1 * np.linalg.norm(one)


def test_weights_that_half_precision_cannot_hold_are_not_saved(tmp_path: Path) -> None:
    network = tiny_network()
    network.neck.lateral[0].weight.data[0] = 1e6
    with pytest.raises(CheckpointError, match="lateral"):
        save_compact(tmp_path, "tiny", network, TINY, SETTINGS, tiny_tokenizer())


def test_folding_batch_norms_changes_nothing() -> None:
    plain, folded = tiny_network(), tiny_network()
    fold_norms(folded)
    pixels = torch.randn(2, 3, 64, 96)
    for a, b in zip(plain.encode(pixels), folded.encode(pixels), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())


def test_the_decoder_keeps_images_and_prompts_apart() -> None:
    network = tiny_network()
    features, conditions = network.encode(torch.randn(2, 3, 64, 64)), torch.randn(2, 3, 32)
    logits, presence = network.decoder(features, conditions)
    one = type(features)(*(f[1:] for f in features))
    alone, there = network.decoder(one, conditions[1:, 2:])
    torch.testing.assert_close(logits[1:, 2:], alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(presence[1:, 2:], there, rtol=1e-4, atol=1e-4)
    assert (logits[0, 0] - logits[0, 1]).abs().max() > 1e-2


def test_the_film_path_and_the_dot_path_both_count() -> None:
    network = tiny_network()
    features, conditions = network.encode(torch.randn(1, 3, 64, 64)), torch.randn(1, 2, 32)
    logits, _ = network.decoder(features, conditions)
    dot = network.decoder.dot(features.pixel, conditions)
    assert dot.shape == logits.shape == (1, 2, 16, 16)
    query = network.decoder.query(32**0.5 * conditions)[0, 1]
    expected = (features.pixel[0, :, 3, 5] * query[:-1]).sum() * 12**-0.5 + query[-1]
    torch.testing.assert_close(dot[0, 1, 3, 5], expected, rtol=1e-4, atol=1e-4)
    assert (logits - dot).abs().max() > 1e-3


def test_position_code_does_not_depend_on_the_size_of_the_map() -> None:
    coarse, fine = position_code(2, 2, 32, torch.device("cpu")), position_code(6, 6, 32, torch.device("cpu"))
    torch.testing.assert_close(coarse[3], fine.view(6, 6, 32)[4, 4])  # both centres lie at three quarters
    assert (fine[0] - fine[1]).abs().max() > 0.1


def test_padding_does_not_change_a_phrase(folder: Path) -> None:
    model = load_compact(folder).model
    alone = model.embed_texts(["hair"])[0]  # type: ignore[attr-defined]
    beside = model.embed_texts(["hair", "the left eye and the right eye"])[0]  # type: ignore[attr-defined]
    torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-5)
    assert alone.norm().item() == pytest.approx(1, abs=1e-5)


def test_a_mixed_prompt_runs_from_the_example_to_the_words(folder: Path) -> None:
    model, visual = load_compact(folder).model, example()
    with torch.inference_mode():
        text, shown = model.embed_prompt(TextPrompt("hair")), model.embed_prompt(visual)
        torch.testing.assert_close(model.embed_prompt(MixedPrompt("hair", visual, weight=1)), text)
        torch.testing.assert_close(model.embed_prompt(MixedPrompt("hair", visual, weight=0)), shown)
        half = model.embed_prompt(MixedPrompt("hair", visual, weight=0.5))
    assert half @ text == pytest.approx(float(half @ shown), abs=1e-5)


def test_presence_is_calibrated_and_empties_the_mask(folder: Path) -> None:
    model = load_compact(folder).model
    values = model.calibrate_presence(torch.tensor([-10.0, 0.0, 1.0]))
    np.testing.assert_allclose(values, 1 / (1 + np.exp([19.5, -0.5, -2.5])), rtol=1e-5)
    found = load_compact(folder).segment(random_image(), "hair")[0]
    assert found.presence_threshold == 0.25
    assert found.present == (found.presence >= 0.25)


def test_the_canvas_keeps_the_shape_in_steps_of_32(folder: Path) -> None:
    model = load_compact(folder).model
    assert model.canvas((300, 400)).canvas == (64, 96)
    assert model.canvas((400, 400)).canvas == (96, 96)
    assert model.canvas((1, 5000)).canvas == (32, 96)


def _without(path: Path) -> None:
    path.unlink()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", [_without, _torn])
def test_a_damaged_folder_is_named(tmp_path: Path, name: str, damage: object) -> None:
    save_compact(tmp_path, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    damage(tmp_path / name)  # type: ignore[operator]
    with pytest.raises((CheckpointError, ModelNotFoundError), match=name.split(".")[0]):
        load_compact(tmp_path)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    save_compact(tmp_path, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    config = json.loads((tmp_path / "config.json").read_text())
    config["network"]["pixel"] = 16
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_compact(tmp_path)


def test_names_tell_weights_apart(folder: Path, tmp_path: Path) -> None:
    network = tiny_network()
    network.text.norm.bias.data += 1
    save_compact(tmp_path, "tiny", network, TINY, SETTINGS, tiny_tokenizer())
    first, again, other = load_compact(folder), load_compact(folder), load_compact(tmp_path)
    assert re.fullmatch("tiny-[0-9a-f]{8}", first.name)
    assert first.name == again.name != other.name
    with pytest.raises(ImageError, match=f"encoded by '{first.name}', expected one encoded by '{other.name}'"):
        other.segment(first.encode(random_image()), "hair")


def test_images_encoded_in_another_precision_are_read(folder: Path) -> None:
    single, half = load_compact(folder), load_compact(folder, dtype=torch.bfloat16)
    exact = logits(single.segment(random_image(), "hair"))
    for reader, writer in ((half, single), (single, half)):
        rough = logits(reader.segment(writer.encode(random_image()), "hair"))
        assert 0 < np.linalg.norm(rough - exact) / np.linalg.norm(exact) < 0.1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(folder: Path, tmp_path: Path, value: float) -> None:
    spoil(folder, tmp_path, "decoder.presence.2.bias", value)
    with pytest.raises(CheckpointError, match=r"1 keys, first 'decoder\.presence\.2\.bias'"):
        load_compact(tmp_path)


def test_negative_variances_are_named(folder: Path, tmp_path: Path) -> None:
    spoil(folder, tmp_path, "neck.mix16.1.running_var", -1.0)
    with pytest.raises(CheckpointError, match=r"neck\.mix16\.1\.running_var.*negative variances"):
        load_compact(tmp_path)


def spoil(folder: Path, copy: Path, key: str, value: float) -> None:
    save_compact(copy, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    state = load_file(folder / "model.safetensors")
    state[key].view(-1)[0] = value
    save_file(state, copy / "model.safetensors")


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("network", "pixel", 0, "pixel is '0', not in 1 to 65536"),
        ("network", "tokens", 10**12, "tokens is '1000000000000', not in 1"),
        ("network", "channels", "16", "channels is '16', not whole"),
        ("network", "channels", 16.0, "channels is '16.0', not whole"),
        ("network", "attention", True, "attention is 'True', not whole"),
        ("network", "widths", [8, 16, 32], "widths are 3 numbers, not 4"),
        ("network", "widths", "8888", "widths is .*, not whole"),
        ("network", "depths", [1, 1, 1, -1], "depths is .*, not in 1"),
        ("network", "depths", 3, "not iterable"),
        ("network", "text_depth", 257, "text_depth is '257', not in 1 to 256"),
        ("network", "widths", [8, 16, 24, 31], "last of widths is 31"),
        ("network", "widths", [8, 16, 24, 97], "97, not a multiple of its 3 attention heads"),
        ("network", "text_width", 25, "text_width is 25, not a multiple of its 6 attention heads"),
        ("network", "surprise", 1, "surprise"),
        ("settings", "long_side", 31, "long_side is 31, not 32 to 8192 px"),
        ("settings", "long_side", 10**9, "not 32 to 8192 px"),
        ("settings", "long_side", 96.5, "long_side is '96.5', not a whole number"),
        ("settings", "threshold", 1.5, r"threshold is 1.5, not in \[0, 1\]"),
        ("settings", "affinity_sharpness", -1, "affinity_sharpness is -1, not in 0 to 1000"),
        ("settings", "affinity_sharpness", float("inf"), "affinity_sharpness is inf, not a finite number"),
        ("settings", "affinity_sharpness", True, "affinity_sharpness is 'True', not a number"),
        ("settings", "mask_scale", 0.0, "mask_scale is 0.0, not above 0"),
        ("settings", "mask_shift", float("nan"), "mask_shift is nan, not a finite number"),
        ("settings", "threshold", "0.5", "threshold is '0.5', not a number"),
        ("settings", "presence_threshold", -0.1, r"presence_threshold is -0.1, not in \[0, 1\]"),
        ("settings", "presence_threshold", float("nan"), "presence_threshold is nan, not a finite number"),
        ("settings", "presence_scale", float("inf"), "presence_scale is inf, not a finite number"),
        ("settings", "presence_shift", None, "presence_shift is 'None', not a number"),
        ("settings", "surprise", 1, "surprise"),
        (None, "name", 3, "name is '3', not a string"),
        (None, "network", [], "no usable config.json"),
        (None, "settings", [0.5], "no usable config.json"),
    ],
)
def test_impossible_configs_are_one_sentence(
    folder: Path, tmp_path: Path, part: str | None, key: str, value: Any, said: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config)[key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said):
        load_compact(tmp_path)


def test_sizes_far_from_the_weights_take_no_memory(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config["network"]["widths"] = [65536] * 4  # more than a terabyte
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_compact(tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", pytest.param("[" * 100_000, id="deep")])
def test_configs_that_are_no_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json.*expected (an object|valid JSON)"):
        load_compact(tmp_path)


@pytest.fixture(scope="module")
def calibrated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """The same weights with calibrated masks, each cut at its own level; its presence never empties one."""
    copied = Path(shutil.copytree(folder, tmp_path_factory.mktemp("calibrated"), dirs_exist_ok=True))
    config = json.loads((copied / "config.json").read_text())
    config["settings"] |= {"threshold": None, "mask_scale": 0.5, "mask_shift": -1.25, "presence_threshold": 0.0}
    (copied / "config.json").write_text(json.dumps(config))
    return load_compact(copied)


def test_label_maps_follow_the_config_where_masks_have_a_threshold_of_their_own(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "shared"))
    config = json.loads((copied / "config.json").read_text())
    config["settings"] |= {"threshold": None, "label_threshold": 0.4}
    (copied / "config.json").write_text(json.dumps(config))
    segmenter = load_compact(copied)
    own, given, drawn = (
        segmenter.segment(random_image(), "hair", **options)[0]
        for options in ({}, {"threshold": 0.5}, {"presence_threshold": 0})
    )
    assert (own.label_threshold, given.label_threshold, drawn.label_threshold) == (0.4, None, None)
    assert own.claim_threshold == pytest.approx(max(own.threshold, min(1.0, 0.4 / own.presence)))
    assert load_compact(folder).segment(random_image(), "hair")[0].label_threshold is None


def test_mask_logits_are_calibrated(loaded: Segmenter, calibrated: Segmenter) -> None:
    (plain,), (changed,) = (model.segment(random_image(), "hair") for model in (loaded, calibrated))
    np.testing.assert_allclose(
        changed.heatmap_logits.values, 0.5 * plain.heatmap_logits.values - 1.25, rtol=1e-4, atol=1e-4
    )


def test_each_mask_is_cut_at_its_own_threshold(calibrated: Segmenter) -> None:
    asked = ["hair", "a cat", TextPrompt("hair", negatives=("the left eye",))]
    founds = calibrated.segment(random_image(), asked)
    hair, cat, without = founds
    for found in (hair, cat):
        assert found.threshold == best_threshold(found.heatmap_logits.values)
        assert found.threshold < 0.5
        assert found.mask.any()
    assert hair.threshold != cat.threshold
    assert without.area == 0 or without.threshold < 0.5


def test_negatives_leave_a_mask_cut_at_the_threshold_of_what_remains(
    calibrated: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, rival = np.full((8, 8), -9.0, np.float32), np.full((8, 8), -20.0, np.float32)
    own[:4], own[6:] = 8.0, -0.8  # half of it sure, and somebody else's; a quarter unsure, and its own
    rival[:4] = 9.0
    answer = DenseOutput(torch.from_numpy(np.stack([own, rival])), torch.zeros(2))
    monkeypatch.setattr(calibrated.model, "decode", lambda *_: answer)  # type: ignore[attr-defined]
    (found,) = calibrated.segment(random_image(), TextPrompt("hair", negatives=("a cat",)))
    assert found.threshold == pytest.approx(best_threshold(own[4:]), abs=1e-3)
    assert found.threshold < 0.31 < best_threshold(own)


def test_the_own_threshold_leaves_out_padding(calibrated: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrated.model, "canvas", lambda size: letterbox(size, (96, 96)))  # type: ignore[attr-defined]
    (found,) = calibrated.segment(random_image(), "hair")
    top, left, height, width = (value // 4 for value in found.heatmap_logits.placement.content)
    inside = found.heatmap_logits.values[top : top + height, left : left + width]
    assert inside.size < found.heatmap_logits.values.size
    assert found.threshold == best_threshold(inside) != best_threshold(found.heatmap_logits.values)


def test_many_images_get_the_same_thresholds_as_one(calibrated: Segmenter) -> None:
    (alone,) = calibrated.segment(random_image(), "hair")
    for result in calibrated.segment_many([random_image(), random_image()], "hair"):
        assert result[0].threshold == pytest.approx(alone.threshold, abs=1e-4)


def test_an_asked_threshold_replaces_each_masks_own(calibrated: Segmenter) -> None:
    founds = calibrated.segment(random_image(), ["hair", "a cat"], threshold=0.45)
    assert [found.threshold for found in founds] == [0.45, 0.45]


def test_other_modes_of_examples_are_refused(loaded: Segmenter) -> None:
    shown = VisualPrompt(random_image(), mode="blur3_highlight01")
    for prompt in (shown, MixedPrompt("hair", shown)):
        with pytest.raises(UnsupportedPromptError, match=r"'blur3_highlight01' for tiny.*crop_blur_highlight352"):
            loaded.segment(random_image(), prompt)
