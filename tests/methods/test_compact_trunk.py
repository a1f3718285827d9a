"""The parts of the compact network that other methods can stand on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.methods.contract import random_image
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.contracts import ImageEncoder, TextEncoder
from wordmask.methods.compact import load_compact, save_compact


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compact")
    save_compact(folder, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    return folder


def test_the_image_encoder_fulfils_its_contract(folder: Path) -> None:
    encoder = load_compact(folder).model.image_encoder
    assert isinstance(encoder, ImageEncoder)
    with torch.inference_mode():
        maps = encoder(torch.zeros(2, 3, 64, 96))
    assert encoder.channels == TINY.widths
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


def test_the_text_encoder_fulfils_its_contract(folder: Path) -> None:
    encoder = load_compact(folder).model.text_encoder
    assert isinstance(encoder, TextEncoder)
    with torch.inference_mode():
        vectors = encoder.embed_texts(["hair", "the left eye"])
    assert vectors.shape == (2, encoder.channels)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_an_encoded_image_holds_the_pyramid(folder: Path) -> None:
    segmenter = load_compact(folder)
    encoded = segmenter.encode(random_image())
    height, width = encoded.placement.canvas
    assert [m.shape[2:] for m in encoded.features.pyramid] == [(height // s, width // s) for s in (4, 8, 16, 32)]
    with torch.inference_mode():
        maps = segmenter.model.network.neck(encoded.features.pyramid)
    torch.testing.assert_close(maps.pixel, encoded.features.maps.pixel)


def test_the_former_name_of_the_sharpness_is_read(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["settings"]["affinity_sharpness"]
    config["settings"]["agreement_sharpness"] = 3.0
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_compact(tmp_path).model.settings.affinity_sharpness == 3.0
