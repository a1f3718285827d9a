"""Our CLIPSeg against transformers' own, on random checkpoints that transformers wrote: golden checks 4, 9 and 10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.methods.checkpoints import WORDS, write_clipseg
from tests.methods.contract import logits, random_image
from wordmask.methods import prompt_cache
from wordmask.methods.clipseg import load_clipseg
from wordmask.methods.dense import DenseSegmenter
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

TOLERANCE = 1e-5
PHRASES = list(WORDS[:2])
PHOTO = random_image(90, 120, seed=2)
EXAMPLE = random_image(70, 60, seed=6)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "refined"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("clipseg")
    return folder, write_clipseg(folder, refined=request.param)


def processed(folder: Path, size: int, **inputs: Any) -> dict[str, Tensor]:
    """What transformers' own processor makes of images and phrases."""
    from transformers import CLIPSegProcessor

    processor = CLIPSegProcessor.from_pretrained(folder)
    side = {"height": size, "width": size}
    words = {"text": inputs.pop("text"), "padding": True} if "text" in inputs else {}
    return dict(processor(**words, **inputs, images_kwargs={"size": side}, return_tensors="pt"))


def documented(model: Any, inputs: dict[str, Tensor]) -> np.ndarray:
    with torch.inference_mode():
        values = model(**inputs).logits.numpy()
    return values if values.ndim == 3 else values[None]


@pytest.mark.parametrize("size", [224, 352, 416])
def test_text_conditions(checkpoint: tuple[Path, Any], size: int) -> None:
    folder, theirs = checkpoint
    inputs = processed(folder, size, text=PHRASES, images=[Image.fromarray(PHOTO)] * 2)
    ours = load_clipseg(folder, device="cpu", dtype="float32", size=size)
    expected, got = documented(theirs, inputs), logits(ours.segment(PHOTO, PHRASES))
    assert got.shape == expected.shape == (2, size, size)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # else equality would say little
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("size", [224, 352, 416])
def test_image_conditions(checkpoint: tuple[Path, Any], size: int) -> None:
    folder, theirs = checkpoint
    inputs = processed(folder, size, images=[Image.fromarray(PHOTO)], visual_prompt=[Image.fromarray(EXAMPLE)])
    ours = load_clipseg(folder, device="cpu", dtype="float32", size=size)
    got = logits(ours.segment(PHOTO, VisualPrompt(EXAMPLE)))
    np.testing.assert_allclose(got, documented(theirs, inputs), atol=TOLERANCE, rtol=0)


def test_mixed_conditions(checkpoint: tuple[Path, Any]) -> None:
    folder, theirs = checkpoint
    inputs = processed(folder, 224, images=[Image.fromarray(PHOTO)], visual_prompt=[Image.fromarray(EXAMPLE)])
    words = processed(folder, 224, text=["hair"])
    with torch.inference_mode():
        text = theirs.get_conditional_embeddings(1, **words)
        visual = theirs.get_conditional_embeddings(1, conditional_pixel_values=inputs["conditional_pixel_values"])
    ours = load_clipseg(folder, device="cpu", dtype="float32")
    example, encoded = VisualPrompt(EXAMPLE), ours.encode(PHOTO)
    for weight in (0.0, 0.3, 1.0):
        condition = weight * text + (1 - weight) * visual
        expected = documented(theirs, {"pixel_values": inputs["pixel_values"], "conditional_embeddings": condition})
        got = logits(ours.segment(encoded, MixedPrompt("hair", example, weight=weight)))
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
    ends = [TextPrompt("hair"), MixedPrompt("hair", example, weight=1), example, MixedPrompt("a", example, weight=0)]
    text_only, all_text, example_only, all_example = logits(ours.segment(encoded, ends))
    np.testing.assert_allclose(all_text, text_only, atol=1e-6)
    np.testing.assert_allclose(all_example, example_only, atol=1e-6)


def test_a_decoder_of_the_published_size(tmp_path: Path) -> None:
    tower = {"hidden_size": 768, "intermediate_size": 256, "num_attention_heads": 12, "num_hidden_layers": 4}
    theirs = write_clipseg(
        tmp_path,
        refined=True,
        size=352,
        vision_config={**tower, "image_size": 224, "patch_size": 16},
        extract_layers=[0, 2, 3],
        projection_dim=512,
        reduce_dim=64,
        decoder_intermediate_size=2048,
    )
    inputs = processed(tmp_path, 352, text=PHRASES, images=[Image.fromarray(PHOTO)] * 2)
    ours = load_clipseg(tmp_path, device="cpu", dtype="float32")
    np.testing.assert_allclose(logits(ours.segment(PHOTO, PHRASES)), documented(theirs, inputs), atol=TOLERANCE, rtol=0)


def test_the_extracted_layers_come_from_the_checkpoint(tmp_path: Path) -> None:
    inner = {"extract_layers": [3, 7, 9]}
    theirs = write_clipseg(tmp_path, **inner)
    inputs = processed(tmp_path, 224, text=["hair"], images=[Image.fromarray(PHOTO)])
    ours = logits(load_clipseg(tmp_path, device="cpu", dtype="float32").segment(PHOTO, "hair"))
    np.testing.assert_allclose(ours, documented(theirs, inputs), atol=TOLERANCE, rtol=0)
    other = load_clipseg(tmp_path, device="cpu", dtype="float32", extract_layers=(3, 6, 9))
    assert np.abs(logits(other.segment(PHOTO, "hair")) - ours).max() > 1e-3


def test_old_configs_read_the_text_at_its_highest_token(tmp_path: Path) -> None:
    import json

    theirs = write_clipseg(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["eos_token_id"] = 2
    path.write_text(json.dumps(config))
    inputs = processed(tmp_path, 224, text=list(WORDS), images=[Image.fromarray(PHOTO)] * len(WORDS))
    ours = load_clipseg(tmp_path, device="cpu", dtype="float32")
    np.testing.assert_allclose(
        logits(ours.segment(PHOTO, list(WORDS))), documented(theirs, inputs), atol=TOLERANCE, rtol=0
    )


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> DenseSegmenter:
    folder = tmp_path_factory.mktemp("clipseg")
    write_clipseg(folder, refined=True)
    return load_clipseg(folder, device="cpu", dtype="float32")


def test_strings_equal_their_embeddings(segmenter: DenseSegmenter) -> None:
    encoded = segmenter.encode(PHOTO)
    conditions = segmenter.model.embed_texts(list(WORDS))  # type: ignore[attr-defined]
    direct = segmenter.model.decode(encoded.features, conditions).logits
    np.testing.assert_allclose(logits(segmenter.segment(encoded, list(WORDS))), direct.numpy(), atol=1e-6)


def test_the_image_is_encoded_once_however_many_prompts(
    segmenter: DenseSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = segmenter.model
    blocks, decoded = [], []
    hooks = [block.register_forward_hook(lambda *_: blocks.append(1)) for block in model.vision.blocks]
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda features, rows: decoded.append(len(rows)) or decode(features, rows))
    segmenter.segment(PHOTO, [f"thing {index}" for index in range(25)])
    for hook in hooks:
        hook.remove()
    assert len(blocks) == 10
    assert decoded == [10, 10, 5]


def test_equal_conditions_are_decoded_once(segmenter: DenseSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = segmenter.model
    decode, rows = model.decode, []
    monkeypatch.setattr(model, "decode", lambda features, part: rows.append(len(part)) or decode(features, part))
    example = VisualPrompt(EXAMPLE)
    asked = ["hair", TextPrompt("hair", negatives=("dog", "a cat")), "dog", example, example]
    result = segmenter.segment(PHOTO, asked)
    assert rows == [4]
    np.testing.assert_array_equal(result[3].heatmap_logits.values, result[4].heatmap_logits.values)


def test_phrases_and_examples_are_embedded_once(segmenter: DenseSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = segmenter.model
    embed, pooled, texts, examples = model.embed_texts, model.vision.pooled, [], []
    monkeypatch.setattr(model, "embed_texts", lambda phrases: texts.extend(phrases) or embed(phrases))
    monkeypatch.setattr(model.vision, "pooled", lambda pixels: examples.append(1) or pooled(pixels))
    example = VisualPrompt(EXAMPLE)
    first = segmenter.segment(PHOTO, ["never asked before", example])
    again = segmenter.segment(PHOTO, [example, "never asked before", "nor this"])
    assert (texts, examples) == (["never asked before", "nor this"], [1])
    np.testing.assert_allclose(logits(first)[::-1], logits(again)[:2], atol=TOLERANCE)


def test_the_cache_of_phrases_is_bounded(segmenter: DenseSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "PHRASES_KEPT", 3)
    fresh = DenseSegmenter(segmenter.model)
    fresh.segment(PHOTO, ["a", "b", "c"])
    fresh.segment(PHOTO, ["a", "d"])
    assert fresh.prompt_cache.phrases == ("c", "a", "d")


def test_a_letterboxed_image_keeps_its_shape(tmp_path: Path) -> None:
    write_clipseg(tmp_path, refined=True)
    ours = load_clipseg(tmp_path, device="cpu", dtype="float32", size=128, fit="letterbox")
    placement = ours.model.canvas((300, 400))
    assert (placement.canvas, placement.content) == ((96, 128), (0, 0, 96, 128))
    assert ours.model.canvas((1, 5000)).canvas == (16, 128)
    assert ours.model.canvas((7, 3)).canvas == (128, 64)
    found = ours.segment(random_image(300, 400), "hair")[0]
    assert found.heatmap_logits.values.shape == (96, 128)
    square = load_clipseg(tmp_path, device="cpu", dtype="float32", size=128)
    np.testing.assert_allclose(
        logits(ours.segment(random_image(90, 90), "hair")),
        logits(square.segment(random_image(90, 90), "hair")),
        atol=1e-6,
    )


def test_bfloat16_stays_close_and_answers_in_float32(tmp_path: Path) -> None:
    write_clipseg(tmp_path, refined=True, size=64)
    exact = logits(load_clipseg(tmp_path, device="cpu", dtype="float32").segment(PHOTO, list(WORDS)))
    ours = load_clipseg(tmp_path, device="cpu", dtype="bfloat16")
    rough = logits(ours.segment(PHOTO, [*WORDS]))
    assert ours.dtype == torch.bfloat16
    assert rough.dtype == np.float32
    assert np.linalg.norm(rough - exact) / np.linalg.norm(exact) < 2e-2
    single = load_clipseg(tmp_path, device="cpu", dtype="float32")
    carried_over = logits(single.segment(ours.encode(PHOTO), list(WORDS)))
    assert 0 < np.linalg.norm(carried_over - exact) / np.linalg.norm(exact) < 2e-2
    with_example = ours.segment(PHOTO, VisualPrompt(EXAMPLE, np.ones(EXAMPLE.shape[:2], dtype=bool)))
    assert np.isfinite(with_example[0].heatmap_logits.values).all()


def test_presence_without_a_head_is_the_peak_of_the_smoothed_map(segmenter: DenseSegmenter) -> None:
    found = segmenter.segment(PHOTO, "hair")[0]
    side = round(224 / 22)
    smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(found.heatmap_logits.values)[None], side, stride=side // 2)
    assert found.presence == pytest.approx(float(smooth.max().sigmoid()), abs=1e-6)
    assert found.present


def test_an_example_selects_its_object(segmenter: DenseSegmenter) -> None:
    mask = np.zeros(EXAMPLE.shape[:2], dtype=bool)
    mask[10:30, 5:25] = True
    prompts = [
        VisualPrompt(EXAMPLE),
        VisualPrompt(EXAMPLE, mask),
        VisualPrompt(EXAMPLE, ~mask),
        VisualPrompt(EXAMPLE, mask, mode="blur3_highlight01"),
    ]
    maps = logits(segmenter.segment(PHOTO, prompts))
    apart = [np.abs(maps[i] - maps[j]).max() for i in range(4) for j in range(i)]
    assert min(apart) > 1e-4


def test_an_unknown_mode_is_a_prompt_error(segmenter: DenseSegmenter) -> None:
    from wordmask.errors import PromptError

    for mode in ("sharpen", "concat"):
        with pytest.raises(PromptError, match=f"'{mode}'.*crop_blur_highlight352"):
            segmenter.segment(PHOTO, VisualPrompt(EXAMPLE, mode=mode))
