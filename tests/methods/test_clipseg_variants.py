"""CLIP-Deconv and ViTSeg: the contract of every method, folders and configs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import wordmask
from tests.methods.checkpoints import write_clipseg, write_vit
from tests.methods.contract import DenseMethodContract, example, logits, random_image
from wordmask.contracts import Segmenter
from wordmask.errors import CheckpointError, TrainingError
from wordmask.methods.clipseg import load_clipseg
from wordmask.methods.clipseg.config import ClipSegConfig
from wordmask.methods.clipseg.fresh import FreshDecoder
from wordmask.methods.clipseg.loader import read_folder
from wordmask.methods.clipseg.saving import save_clipseg
from wordmask.methods.clipseg.training import ClipSegTraining

VARIANTS: dict[str, dict[str, Any]] = {
    "deconv": {"decoder": "deconv", "extract_layers": (3, 7, 9)},
    "vitseg": {"text_towers": "clip"},
    "vitseg-deconv-refined": {"text_towers": "clip", "decoder": "deconv", "refined": True},
}


def fresh_decoder(folder: Path, source: str, name: str, **changes: Any) -> ClipSegTraining:
    """A variant with a decoder of random weights, on the towers in `folder / source`."""
    values = {"channels": 8, "size": 64, **VARIANTS[name], **changes}
    if "text_towers" in values:
        values["text_towers"] = str(folder / "clip")
    return FreshDecoder(**values).open(folder / source, SimpleNamespace(seed=0))


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    write_clipseg(folder / "clip", size=64)
    write_vit(folder / "vit")
    return folder


@pytest.fixture(scope="module")
def folders(towers: Path) -> dict[str, Path]:
    """Each variant with random weights, saved."""
    for name in VARIANTS:
        fresh_decoder(towers, "vit" if name.startswith("vit") else "clip", name).export(towers / name)
    return {name: towers / name for name in VARIANTS}


class TestDeconv(DenseMethodContract):
    @pytest.fixture
    def segmenter(self, folders: dict[str, Path]) -> Segmenter:
        return wordmask.load(folders["deconv"], device="cpu", dtype="float32")


class TestViTSeg(DenseMethodContract):
    @pytest.fixture
    def segmenter(self, folders: dict[str, Path]) -> Segmenter:
        return load_clipseg(folders["vitseg"], device="cpu", dtype="float32", fit="letterbox")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_folder_declares_its_variant(name: str, folders: dict[str, Path]) -> None:
    config = json.loads((folders[name] / "config.json").read_text())
    is_deconv = "deconv" in name
    assert config["model_type"] == "wordmask-clipseg"
    assert "architectures" not in config  # transformers has none for it
    assert (config["decoder"], config["encoder"]) == (
        "deconv" if is_deconv else "attention", "vit" if name.startswith("vit") else "clip"
    )  # fmt: skip
    assert config["extract_layers"] == ([9] if is_deconv else [3, 7, 9])
    segmenter = wordmask.load(folders[name], device="cpu")
    family = "vitseg" if name.startswith("vit") else "clipseg"
    assert segmenter.name.startswith(f"{family}{'-deconv' * is_deconv}-rd8{'-refined' * ('refined' in name)}-")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_folder_read_and_saved_again_is_the_same(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = read_folder(folders[name])
    segmenter: Any = load_clipseg(folders[name], device="cpu", dtype="float32")
    save_clipseg(tmp_path / "again", checkpoint, segmenter.model.text.tokenizer)
    one, other = (load_file(folder / "model.safetensors") for folder in (folders[name], tmp_path / "again"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "again" / "config.json").read_bytes() == (folders[name] / "config.json").read_bytes()


def test_the_prompt_makes_a_difference_for_text_and_examples(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        segmenter = wordmask.load(folder, device="cpu", dtype="float32")
        found = logits(segmenter.segment(random_image(), ["a cat", example(), example(seed=9)]))
        assert min(np.abs(found[a] - found[b]).max() for a, b in ((0, 1), (1, 2))) > 1e-4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoder": "unet"}, "the decoder 'unet', expected one of attention, deconv"),
        ({"encoder": "dino"}, "the encoder 'dino', expected one of clip, vit"),
        ({"encoder": "clip"}, "missing weights"),
        ({"decoder": "attention"}, "missing weights"),
        ({"extract_layers": [12]}, "block numbers from 0 to 11"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(
    change: dict[str, Any], said: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["vitseg-deconv-refined"], tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=said):
        wordmask.load(folder, device="cpu")


# --- original files ------------------------------------------------------------------------------------------------


def test_an_original_clip_deconv_file_is_recognised(folders: dict[str, Path], towers: Path, tmp_path: Path) -> None:
    """Such a file holds the decoder alone; `reduce`, unused in CLIPSeg, is used here."""
    decoder = read_folder(folders["deconv"]).decoder
    assert {name.split(".")[0] for name in decoder} == {"reduce", "film_mul", "film_add", "reduce2", "trans_conv"}
    save_file(decoder, tmp_path / "deconv.safetensors")
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
    original = load_clipseg(tmp_path / "deconv.safetensors", towers=towers / "clip", size=64, **options)
    saved = load_clipseg(folders["deconv"], **options)
    one, other = (logits(segmenter.segment(random_image(), "hair")) for segmenter in (original, saved))
    np.testing.assert_allclose(one, other, atol=1e-6)


# --- configs -------------------------------------------------------------------------------------------------------


def test_a_published_config_goes_both_ways() -> None:
    config = ClipSegConfig(vision={"patch_size": 16}, text={"hidden_size": 32}, extract_layers=(3, 7, 9), refined=True)
    assert config.to_json()["model_type"] == "clipseg"
    assert ClipSegConfig.from_json(config.to_json()) == config
    variant = replace(config, decoder="deconv", encoder="vit")
    assert ClipSegConfig.from_json(variant.to_json()) == variant


def test_towers_that_do_not_fit_the_settings(towers: Path) -> None:
    with pytest.raises(TrainingError, match="a ViT, which knows no words"):
        fresh_decoder(towers, "vit", "deconv")
    with pytest.raises(TrainingError, match=r"text_towers='.*clip' for a model of type 'clipseg'"):
        fresh_decoder(towers, "clip", "vitseg")
    with pytest.raises(TrainingError, match="towers=random for a model of type 'vit'"):
        fresh_decoder(towers, "vit", "vitseg", towers="random")
