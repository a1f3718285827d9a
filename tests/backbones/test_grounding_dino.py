"""Grounding DINO and MM-Grounding-DINO: parity with transformers, text, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.contract import SIZES, random_image
from tests.methods.region_checkpoints import write_grounding_dino
from wordmask.backbones.deformable_attention import deformable_sums
from wordmask.backbones.grounding_dino import GroundingDino, load_grounding_dino
from wordmask.backbones.phrase_scores import best_phrases, span_scores
from wordmask.contracts import Detector
from wordmask.errors import CheckpointError, WordmaskWarning
from wordmask.images import load_image


@pytest.fixture(scope="module", params=["GroundingDino", "MMGroundingDino"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, write_grounding_dino(folder, kind=request.param)


@pytest.fixture(scope="module")
def detector(saved: tuple[Path, Any]) -> GroundingDino:
    return load_grounding_dino(saved[0])


@torch.inference_mode()
def test_pixels_tokens_logits_and_boxes_equal_transformers(saved: tuple[Path, Any], detector: GroundingDino) -> None:
    from transformers import AutoTokenizer, GroundingDinoProcessor
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    image = load_image(random_image(48, 64))
    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessorPil.from_pretrained(saved[0]), AutoTokenizer.from_pretrained(saved[0])
    )
    inputs = processor(images=image.pixels, text="hair. left eye. a cat.", return_tensors="pt")
    expected = saved[1](**inputs)
    placement = detector.canvas(image.size)
    pixels = detector.pixels(image, placement)
    torch.testing.assert_close(pixels, inputs["pixel_values"], atol=1e-5, rtol=0)
    ((chosen, ids, _spans),) = detector.passes(["hair", "left eye", "a cat"])
    assert (chosen, ids) == ([0, 1, 2], inputs["input_ids"][0].tolist())
    logits, boxes = detector.forward(pixels, inputs["pixel_mask"], inputs["input_ids"])
    np.testing.assert_allclose(logits, expected.logits[0, :, : len(ids)].numpy(), atol=2e-4)
    np.testing.assert_allclose(boxes, expected.pred_boxes[0].numpy(), atol=1e-5)
    assert expected.pred_boxes.std() > 0.05
    inputs["pixel_mask"][:, :, 50:] = 0  # as an image that is padded on the right
    expected = saved[1](**inputs)
    logits, _ = detector.forward(pixels, inputs["pixel_mask"], inputs["input_ids"])
    np.testing.assert_allclose(logits, expected.logits[0, :, : len(ids)].numpy(), atol=5e-4)


def test_it_is_a_detector(detector: GroundingDino) -> None:
    assert isinstance(detector, Detector)
    found = detector.detect(load_image(random_image()), ["hair", "left eye", "a cat"])
    assert 0 < len(found) <= 20
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.phrase_index.tolist()) <= {0, 1, 2}
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= [64, 48]).all()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_any_size_is_detected(detector: GroundingDino, size: tuple[int, int]) -> None:
    found = detector.detect(load_image(random_image(*size)), ["hair"])
    assert np.isfinite(found.boxes).all()
    assert (found.boxes[:, 2:] <= [size[1], size[0]]).all()


def test_phrases_are_split_over_passes_and_long_ones_cut(detector: GroundingDino) -> None:
    phrases = [letter * 20 for letter in "abcdefg"]
    passes = list(detector.passes(phrases))
    assert [index for chosen, _, _ in passes for index in chosen] == list(range(7))
    assert all(len(ids) <= 64 for _, ids, _ in passes)
    assert all(first >= 1 and end <= len(ids) - 1 for _, ids, spans in passes for first, end in spans)
    with pytest.warns(WordmaskWarning, match="of 90 tokens, expected at most 61"):
        ((_, ids, spans),) = detector.passes(["a" * 90])
    assert (len(ids), spans) == (64, [(1, 62)])
    ((_, ids, spans),) = detector.passes(["\u0301", "a . b"])
    assert ids[1:-1] == [100, 1012, 200, 201, 1012]  # a phrase without a token is an unknown word
    assert spans == [(1, 2), (3, 5)]


def test_bfloat16_products_keep_coordinates_in_float32(saved: tuple[Path, Any]) -> None:
    half = load_grounding_dino(saved[0], dtype=torch.bfloat16)
    kinds = {weight.dtype for weight in half.network.parameters()}
    assert kinds == {torch.bfloat16, torch.float32}
    assert half.network.bbox_embed[0].layers[0].weight.dtype == torch.float32
    assert len(half.detect(load_image(random_image()), ["hair"])) > 0


def test_another_kind_of_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(CheckpointError, match="grounding-dino or mm-grounding-dino"):
        load_grounding_dino(tmp_path)


def test_scores_are_maxima_over_spans() -> None:
    logits = np.array([[-9, 0, 2, -9, 1, -9], [-9, -1, -3, 5, 3, -9]], np.float32)  # boxes x tokens
    spans = [(1, 3), (4, 5)]  # token 3 is the separator, which names nothing
    scores = span_scores(logits, spans)
    expected = 1 / (1 + np.exp(-np.array([[2.0, 1], [-1, 3]])))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    found = best_phrases(np.array([[0, 0, 9, 9], [1, 1, 5, 5]], np.float32), scores, [7, 3])
    assert found.phrase_index.tolist() == [3, 7]
    np.testing.assert_allclose(found.scores, [expected[1, 1], expected[0, 0]], rtol=1e-6)
    assert found.boxes[0].tolist() == [1, 1, 5, 5]


def test_bag_sampling_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes, heads, depth, queries, points = [(3, 4), (2, 2)], 2, 3, 5, 2
    value = torch.randn(1, 16, heads, depth, generator=generator).double()
    locations = torch.rand(1, queries, heads, 2, points, 2, generator=generator) * 1.6 - 0.3
    weights = torch.rand(1, queries, heads, 2, points, generator=generator)
    expected = torch.zeros(queries, heads, depth, dtype=torch.float64)
    first = 0
    for level, (height, width) in enumerate(shapes):
        grid = value[0, first : first + height * width].view(height, width, heads, depth)
        first += height * width
        for query, head, point in np.ndindex(queries, heads, points):
            x, y = (locations[0, query, head, level, point].double() * torch.tensor([width, height]) - 0.5).tolist()
            for row, column in np.ndindex(height, width):
                share = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                expected[query, head] += weights[0, query, head, level, point] * share * grid[row, column, head]
    sums = deformable_sums(value, shapes, locations, weights)
    torch.testing.assert_close(sums[0].view(queries, heads, depth), expected, atol=1e-6, rtol=0)
