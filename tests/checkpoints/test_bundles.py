"""Models made of several checkpoints: their config.json, and what is said where a part is missing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import wordmask
from tests.fakes import BrightnessSegmenter
from wordmask.checkpoints.bundles import Part, open_parts, read_parts
from wordmask.errors import CheckpointError, ModelNotFoundError, OfflineError
from wordmask.methods.table import METHODS, Preset

HUB = {"hub": "owner/vision", "revision": "abc", "bytes": 5_000_000, "licence": "MIT"}
SIZES = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def write_bundle(folder: Path, parts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "fake-bundle", "parts": parts}), encoding="utf-8")
    return folder


def write_text_encoder(folder: Path) -> Path:
    """Save a small random CLIP text encoder, as published parts are saved."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    CLIPTextModel(CLIPTextConfig(vocab_size=50, **SIZES)).save_pretrained(folder)
    return folder


def write_vision(folder: Path) -> Path:
    """Save a small random ViT."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(1)
    ViTModel(ViTConfig(image_size=32, patch_size=16, **SIZES), add_pooling_layer=False).save_pretrained(folder)
    return folder


class TwoPartSegmenter(BrightnessSegmenter):
    """A segmenter made of two checkpoints, which it really reads."""

    def __init__(self, parts: dict[str, Path]) -> None:
        from transformers import CLIPTextModel, ViTModel

        self.text = CLIPTextModel.from_pretrained(parts["text"])
        self.vision = ViTModel.from_pretrained(parts["vision"], add_pooling_layer=False)


def load_fake(folder: Path, *, parts: dict[str, Path], device: Any, dtype: Any) -> TwoPartSegmenter:
    return TwoPartSegmenter(parts)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a method to the table, as a new one is added: one entry."""
    fake = dataclasses.replace(METHODS["tas"], name="fake", loaders={"fake-bundle": load_fake})
    monkeypatch.setitem(METHODS, "fake", fake)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Replace the hub by a folder with one model, and keep what is fetched."""
    folder, asked = write_vision(tmp_path / "hub"), list[tuple[str, str | None]]()

    def fetch(name: str, *, revision: str | None = None) -> Path:
        asked.append((name, revision))
        if name != "owner/vision":
            raise OfflineError("no network")
        return folder

    monkeypatch.setattr("wordmask.backbones.hub.fetch_checkpoint", fetch)
    return asked


def test_parts_are_read_from_config(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", {"vision": HUB, "text": {"path": "clip"}})

    assert read_parts(folder) == (
        Part("vision", "owner/vision", "abc", None, 5_000_000, "MIT"),
        Part("text", path=folder / "clip"),
    )


def test_a_bundle_loads_from_a_folder_and_the_hub(
    tmp_path: Path, method: None, hub: list[tuple[str, str | None]], half_bright: Path
) -> None:
    folder = write_bundle(tmp_path / "bundle", {"vision": HUB, "text": {"path": "clip"}})
    write_text_encoder(folder / "clip")

    segmenter = wordmask.load(folder, device="cpu")

    assert hub == [("owner/vision", "abc")]
    assert isinstance(segmenter, TwoPartSegmenter)
    assert segmenter.text.config.hidden_size == segmenter.vision.config.hidden_size == 8
    assert segmenter.segment(half_bright, "bright")[0].area > 0


def test_a_preset_of_several_parts_is_a_bundle_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: None, hub: list[tuple[str, str | None]]
) -> None:
    folder = write_bundle(tmp_path / "bundle", {"vision": HUB, "text": {"path": "clip"}})
    write_text_encoder(folder / "clip")
    preset = Preset("fake-small", "a preset", read_parts(folder), folder)
    monkeypatch.setitem(METHODS, "fake", dataclasses.replace(METHODS["fake"], presets=(preset,)))

    assert isinstance(wordmask.load("fake-small", device="cpu"), TwoPartSegmenter)
    assert preset.bytes is None  # the local part does not say
    assert dataclasses.replace(preset, parts=preset.parts[:1]).bytes == 5_000_000


@pytest.mark.parametrize(
    ("parts", "error", "said"),
    [
        ({"text": {"path": "gone"}}, ModelNotFoundError, r"'text' is missing at '.*gone'.*copy the part there"),
        ({"text": {"hub": "owner/other"}}, OfflineError, r"'text' \(owner/other\) could not be fetched.*'compact'"),
        ({"text": {"hub": "owner/other", "path": "a"}}, CheckpointError, r"the part 'text'.*\"hub\": ID"),
        ({"text": "owner/other"}, CheckpointError, r"the part 'text'"),
        ({}, CheckpointError, r"an object of parts"),
        ([1], CheckpointError, r"an object of parts"),
    ],
)
def test_a_missing_part_is_one_sentence(
    tmp_path: Path, method: None, hub: list[Any], parts: Any, error: type[Exception], said: str
) -> None:
    folder = write_bundle(tmp_path / "bundle", parts)
    with pytest.raises(error, match=said):
        wordmask.load(folder, device="cpu")


def test_parts_that_are_there_are_not_fetched(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", {"text": {"path": "."}})

    def fetch(*_: Any, **__: Any) -> Path:
        raise AssertionError("nothing to fetch")

    assert open_parts(folder, fetch=fetch) == {"text": folder}
