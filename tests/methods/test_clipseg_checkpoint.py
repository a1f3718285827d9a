"""Both public layouts of CLIPSeg checkpoints, and what happens to damaged ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.methods.checkpoints import write_clipseg, write_tokenizer
from tests.methods.contract import logits, random_image
from wordmask.checkpoints.reading import read_weights
from wordmask.errors import CheckpointError, ModelNotFoundError, OfflineError, WordmaskWarning
from wordmask.methods.clipseg import load_clipseg
from wordmask.methods.clipseg.checkpoint import read_statistics
from wordmask.methods.clipseg.key_map import decoder_from_transformers, decoder_to_transformers
from wordmask.methods.clipseg.loader import TOWERS, towers_beside
from wordmask.methods.dense import DenseSegmenter

PHRASES = ["hair", "a cat"]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it."""
    folder = tmp_path_factory.mktemp("saved")
    write_clipseg(folder, refined=True, size=64)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def load(location: Path, **options: Any) -> DenseSegmenter:
    return load_clipseg(location, device="cpu", dtype="float32", **options)


def answers(location: Path, **options: Any) -> np.ndarray:
    return logits(load(location, **options).segment(random_image(), PHRASES))


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def original(folder: Path) -> dict[str, Tensor]:
    """The decoder of a folder in the original files' layout, unused layer included."""
    decoder = decoder_from_transformers(load_file(folder / WEIGHTS))
    return {**decoder, "reduce.weight": torch.zeros(16, 32), "reduce.bias": torch.zeros(16)}


def test_the_key_map_goes_both_ways(saved: Path) -> None:
    theirs = {name: t for name, t in load_file(saved / WEIGHTS).items() if name.startswith("decoder.")}
    back = decoder_to_transformers(decoder_from_transformers(theirs))
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(back[name], tensor, atol=0, rtol=0)


def test_the_key_map_renames_as_documented() -> None:
    projections = {f"decoder.layers.1.self_attn.{part}_proj.bias": torch.full((2,), i) for i, part in enumerate("qkv")}
    others = ["decoder.layers.1.mlp.fc2.weight", "decoder.layers.0.layer_norm1.bias", "decoder.film_mul.weight"]
    head = ["decoder.transposed_convolution.2.weight", "decoder.reduces.0.bias", "clip.logit_scale"]
    renamed = decoder_from_transformers({**projections, **{name: torch.zeros(1) for name in [*others, *head]}})
    assert set(renamed) == {
        "blocks.1.self_attn.in_proj_bias",
        "blocks.1.linear2.weight",
        "blocks.0.norm1.bias",
        "film_mul.weight",
        "trans_conv.2.weight",
        "reduces.0.bias",
    }
    assert renamed["blocks.1.self_attn.in_proj_bias"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["rd64-uni.safetensors", "rd64-uni.pth"])
def test_original_decoder_files(saved: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (torch.save if name.endswith(".pth") else save_file)(original(saved), path)
    np.testing.assert_allclose(answers(path, towers=saved, size=64), answers(saved), atol=1e-6)
    assert answers(path, towers=saved).shape == (2, 352, 352)  # what the originals were trained at


def test_original_decoders_take_clip_saved_alone(saved: Path, tmp_path: Path) -> None:
    path, towers = tmp_path / "rd64-uni.safetensors", Path(shutil.copytree(saved, tmp_path / "clip"))
    save_file(original(saved), path)
    alone = {name.removeprefix("clip."): t for name, t in load_file(saved / WEIGHTS).items() if name[:5] == "clip."}
    save_file(alone, towers / WEIGHTS)
    statistics = json.loads((towers / "preprocessor_config.json").read_text())
    statistics |= {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}  # CLIP's own: not CLIPSeg's
    (towers / "preprocessor_config.json").write_text(json.dumps(statistics))
    np.testing.assert_allclose(answers(path, towers=towers, size=64), answers(saved), atol=1e-6)


def test_an_original_file_alone_asks_for_the_clip_it_was_trained_on(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "rd64-uni.safetensors"
    save_file(original(saved), path)
    with pytest.raises(OfflineError, match=r"openai/clip-vit-base-patch16"):
        load(path)


@pytest.mark.parametrize("beside", [True, False], ids=["relative path", "absolute path"])
def test_a_folder_may_name_an_original_file_and_its_towers(saved: Path, tmp_path: Path, beside: bool) -> None:
    import wordmask

    save_file(original(saved), tmp_path / "rd64-uni.safetensors")
    towers = Path(shutil.copytree(saved, tmp_path / "clip")).name if beside else str(saved)
    config = {"model_type": "clipseg", "weights": "rd64-uni.safetensors", "towers": towers}
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = load(tmp_path / "rd64-uni.safetensors")
    assert expected.name == load(saved).name
    for given in (tmp_path, tmp_path / "rd64-uni.safetensors"):
        segmenter = wordmask.load(given, device="cpu", dtype="float32")
        np.testing.assert_array_equal(
            logits(segmenter.segment(random_image(), PHRASES)), logits(expected.segment(random_image(), PHRASES))
        )


def test_an_original_file_must_hold_a_decoder(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "else.safetensors"
    save_file({"something": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"no CLIPSeg decoder in .*else"):
        load(path, towers=saved)


def test_pickled_weights_of_tensors_alone_are_read(saved: Path, folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    np.testing.assert_array_equal(answers(folder), answers(saved))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["WORDMASK_TEST_BOMB"],)


def test_a_pickle_with_code_is_refused_and_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crater = folder / "crater"
    monkeypatch.setenv("WORDMASK_TEST_BOMB", str(crater))
    torch.save({"weight": torch.zeros(1), "bomb": Bomb()}, folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*holds code.*safetensors"):
        load(folder)
    assert not crater.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 torn"], ids=["empty", "text", "torn zip"])
def test_damaged_pickles(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        load(folder)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt.*state_dict"):
        read_weights(tmp_path / "list.pt")


def test_a_weights_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.onnx.*\.safetensors"):
        read_weights(tmp_path / "weights.onnx")


def test_a_torn_safetensors_file(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"unreadable.*model\.safetensors"):
        load(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.pop("decoder.film_mul.bias"))
    with pytest.raises(CheckpointError, match=r"1 missing weight \(film_mul\.bias\)"):
        load(folder)


def test_a_projection_that_is_missing_in_part_is_missing(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.pop("decoder.layers.0.self_attn.k_proj.bias"))
    with pytest.raises(CheckpointError, match=r"1 missing weight \(blocks\.0\.self_attn\.in_proj_bias\)"):
        load(folder)


def test_a_few_of_many_missing_weights_are_named(folder: Path) -> None:
    def drop(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if name.startswith("clip.text_model.encoder")]:
            del weights[name]

    rewrite(folder, drop)
    with pytest.raises(CheckpointError, match=r"32 missing weights \(text_model[^,]*, [^,]*, [^,]*, …\)"):
        load(folder)


def test_unknown_weights_are_named(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update({"decoder.surprise": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"1 unknown weight \(surprise\)"):
        load(folder)


def test_weights_of_another_size_are_named(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update({"decoder.film_add.bias": torch.zeros(5)}))
    with pytest.raises(CheckpointError, match=r"1 misshapen weight \(film_add\.bias \(5,\) for \(16,\)\)"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("name", ["decoder.film_add.bias", "clip.logit_scale"])
def test_weights_that_are_no_numbers_are_named(folder: Path, name: str, value: float) -> None:
    rewrite(folder, lambda weights: weights.update({name: torch.full_like(weights[name], value)}))
    with pytest.raises(CheckpointError, match=rf"1 non-finite weight \({name.partition('.')[2]}\)"):
        load(folder)


def test_weights_that_nothing_reads_are_let_pass(saved: Path, folder: Path) -> None:
    dead = {"clip.text_model.embeddings.position_ids": torch.arange(77)[None], "decoder.reduce.bias": torch.zeros(16)}
    rewrite(folder, lambda weights: weights.update(dead))
    np.testing.assert_array_equal(answers(folder), answers(saved))


def test_half_precision_files_run_in_single_precision(saved: Path, folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update({name: tensor.half() for name, tensor in weights.items()}))
    segmenter = load(folder)
    assert {parameter.dtype for parameter in segmenter.model.parameters()} == {torch.float32}  # type: ignore[attr-defined]
    np.testing.assert_allclose(answers(folder), answers(saved), atol=2e-2)


def test_no_weights_at_all(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelNotFoundError, match=r"no weights.*model\.safetensors or pytorch_model\.bin"):
        load(folder)


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"expected a config\.json in it"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "clip"}, "model type 'clip'"),
        ({"conditional_layer": 3}, "conditional_layer 3"),
        ({"extract_layers": [3, 40]}, "0 to 11"),
        ({"reduce_dim": 32}, "misshapen"),
        ({"use_complex_transposed_convolution": False}, "unknown weights"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_configs_that_do_not_fit(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "valid JSON"), ("[1]", "JSON list"), pytest.param("[" * 100_000, "valid JSON", id="deep")],
)
def test_damaged_configs(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_a_folder_without_tokenizer(folder: Path) -> None:
    (folder / "vocab.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer in .*merges\.txt"):
        load(folder)


def test_a_damaged_tokenizer(folder: Path) -> None:
    (folder / "vocab.json").write_text("{")
    with pytest.raises(CheckpointError, match="unreadable tokenizer"):
        load(folder)


def test_statistics_of_the_folder(folder: Path) -> None:
    assert read_statistics(folder) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (64, 64))
    before = answers(folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 64}))
    assert read_statistics(folder) == ((0.5,) * 3, (0.5,) * 3, (64, 64))
    assert np.abs(answers(folder) - before).max() > 1e-3
    path.unlink()
    assert read_statistics(folder) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (352, 352))


@pytest.mark.parametrize(
    "change",
    [
        {"image_std": [0, 1, 1]},
        {"image_std": [1, float("nan"), 1]},
        {"image_mean": [1, 2]},
        {"image_mean": [0, 0, float("inf")]},
        {"size": "big"},
        {"size": 0},
    ],
)
def test_damaged_statistics(folder: Path, change: dict[str, Any]) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(change))
    with pytest.raises(CheckpointError, match="preprocessor_config"):
        load(folder)


@pytest.mark.parametrize("size", [100, 0, -16])
def test_the_canvas_is_made_of_whole_patches(saved: Path, size: int) -> None:
    with pytest.raises(CheckpointError, match="multiples of the patch size, 16 px"):
        load(saved, size=size)


def test_two_checkpoints_have_two_names(saved: Path, tmp_path: Path) -> None:
    write_clipseg(tmp_path, size=64, seed=1)
    names = [load(saved).name, load(tmp_path).name, load(saved).name]
    assert names[0] == names[2] != names[1]
    assert names[0].startswith("clipseg-rd16-refined-")


@pytest.mark.parametrize("part", ["decoder.layers.2.mlp.fc2.bias", "clip.vision_model.encoder.layers.1.mlp.fc1.bias"])
def test_one_weight_makes_another_name(saved: Path, tmp_path: Path, part: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(saved, other)
    weights = load_file(other / "model.safetensors")
    weights[part][0] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert load(saved).name != load(other).name


def test_long_phrases_are_cut_where_clip_ends(saved: Path) -> None:
    segmenter = load(saved)
    with pytest.warns(WordmaskWarning, match=r"of 202 tokens, expected at most 77, .*the end is ignored"):
        long = logits(segmenter.segment(random_image(), "b " * 200))
    with pytest.warns(WordmaskWarning, match="of 302 tokens"):
        longer = logits(segmenter.segment(random_image(), "b " * 300))
    np.testing.assert_allclose(long, longer, atol=1e-6)


def test_phrases_of_all_lengths_keep_their_places(saved: Path) -> None:
    segmenter, random = load(saved), np.random.default_rng(0)
    texts = ["".join(random.choice(list("abcd "), size=length)) + "x" for length in random.permutation(150) % 60]
    encode: Any = segmenter.model.embed_texts  # type: ignore[attr-defined]
    together = encode(texts)
    for index in (0, 7, 64, 149):
        torch.testing.assert_close(together[index], encode([texts[index]])[0], atol=1e-5, rtol=0)


def test_api_and_hub(saved: Path) -> None:
    import wordmask

    segmenter = wordmask.load(saved, device="cpu", dtype="float32")
    np.testing.assert_array_equal(logits(segmenter.segment(random_image(), PHRASES)), answers(saved))
    with pytest.raises(OfflineError, match="CIDAS/clipseg-rd64-refined"):
        load_clipseg("CIDAS/clipseg-rd64-refined", device="cpu")


def test_the_test_tokenizer_knows_every_letter(tmp_path: Path) -> None:
    assert write_tokenizer(tmp_path) == 256 + 256 + 1 + 2


def test_the_clip_of_an_original_decoder(tmp_path: Path) -> None:
    """Named by the config.json beside it, the folder itself if it is a CLIP's, or else the published one."""
    file = tmp_path / "rd64-uni.pth"
    assert towers_beside(file) == TOWERS
    (tmp_path / "config.json").write_text('{"model_type": "clip"}', encoding="utf-8")
    assert towers_beside(file) == tmp_path
    (tmp_path / "config.json").write_text('{"towers": "owner/clip"}', encoding="utf-8")
    assert towers_beside(file) == "owner/clip"
    (tmp_path / "owner" / "clip").mkdir(parents=True)
    assert towers_beside(file) == tmp_path / "owner" / "clip"
