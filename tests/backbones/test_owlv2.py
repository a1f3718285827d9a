"""OWLv2: parity with transformers, sizes, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.checkpoints import write_tokenizer
from tests.methods.contract import SIZES, random_image
from tests.methods.region_checkpoints import draw_weights
from wordmask.backbones.owlv2 import Owlv2, load_owlv2
from wordmask.contracts import Detector
from wordmask.errors import WordmaskWarning
from wordmask.images import load_image


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2TextConfig, Owlv2VisionConfig

    folder = tmp_path_factory.mktemp("owlv2")
    tokens = write_tokenizer(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": tokens - 2, "eos_token_id": tokens - 1, "pad_token_id": 0}
    config = Owlv2Config(
        text_config=Owlv2TextConfig(**sizes, **ends, vocab_size=tokens, max_position_embeddings=16).to_dict(),
        vision_config=Owlv2VisionConfig(**sizes, image_size=64, patch_size=16).to_dict(),
        projection_dim=32,
    )
    model = Owlv2ForObjectDetection(config).eval()
    draw_weights(model, seed=0)
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="module")
def detector(saved: tuple[Path, Any]) -> Owlv2:
    return load_owlv2(saved[0])


@torch.inference_mode()
def test_boxes_and_scores_equal_transformers(saved: tuple[Path, Any], detector: Owlv2) -> None:
    image, phrases = load_image(random_image(48, 64)), ["hair", "a cat", "left eye"]
    ids, mask = detector._tokens(phrases)
    expected = saved[1](pixel_values=detector.pixels(image), input_ids=ids, attention_mask=mask)
    found = detector.detect(image, phrases)
    probability, label = expected.logits[0].sigmoid().max(dim=-1)
    order = probability.argsort(descending=True, stable=True)
    np.testing.assert_allclose(found.scores, probability[order][: len(found)].numpy(), atol=1e-5)
    assert found.phrase_index.tolist() == label[order][: len(found)].tolist()
    centres = expected.pred_boxes[0][order].numpy()
    corners = np.concatenate([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], axis=1) * 64
    np.testing.assert_allclose(found.boxes, corners.clip(0, [64, 48, 64, 48])[: len(found)], atol=1e-3)
    assert len(found) > 0
    assert isinstance(detector, Detector)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_any_size_is_detected(detector: Owlv2, size: tuple[int, int]) -> None:
    found = detector.detect(load_image(random_image(*size)), ["hair"])
    assert np.isfinite(found.boxes).all()
    assert (found.boxes[:, 2:] <= [size[1], size[0]]).all()


def test_many_and_long_phrases(detector: Owlv2) -> None:
    image = load_image(random_image())
    many = detector.detect(image, [f"thing {index}" for index in range(70)])
    assert many.phrase_index.max() < 70
    with pytest.warns(WordmaskWarning, match="expected at most 16"):
        detector.detect(image, ["word " * 20])
    assert len(detector.detect(image, [])) == 0


def test_bfloat16_keeps_boxes_in_float32(saved: tuple[Path, Any], detector: Owlv2) -> None:
    half = load_owlv2(saved[0], dtype=torch.bfloat16)
    image = load_image(random_image())
    assert {weight.dtype for weight in half.network.parameters()} == {torch.bfloat16, torch.float32}
    one, other = (which.detect(image, ["hair"]) for which in (half, detector))
    assert np.abs(np.sort(one.boxes, axis=0)[:3] - np.sort(other.boxes, axis=0)[:3]).max() < 5
