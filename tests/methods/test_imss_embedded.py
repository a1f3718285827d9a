"""IMSS on the embedded trunk: isolation, drawing, sides, boxes, and refinement by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.imss_bundle import write_bundle
from wordmask.components.place.mirror import flipped_image
from wordmask.errors import CheckpointError, ModelNotFoundError, PromptError
from wordmask.images import load_image
from wordmask.methods.imss import refinement
from wordmask.methods.imss.isolator import MapIsolator, with_other_side
from wordmask.prompts import TextPrompt, VisualPrompt
from wordmask.results.refined_logits import RefinedLogits


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("imss"))


@pytest.fixture(scope="module")
def model(bundle: Path) -> Any:
    return wordmask.load(bundle)


@pytest.fixture
def embedded(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bundle in the place of the weights in the package."""
    monkeypatch.setattr(refinement, "EMBEDDED", bundle)
    refinement.embedded_refiner.cache_clear()
    yield
    refinement.embedded_refiner.cache_clear()


def test_a_phrase_with_a_side_is_told_from_the_other_side() -> None:
    assert with_other_side(TextPrompt("left eye")) == TextPrompt("left eye", negatives=("right eye",))
    told = TextPrompt("left eye", negatives=("right eye",))
    assert with_other_side(told) is told
    assert with_other_side(TextPrompt("nose")) == TextPrompt("nose")
    example = VisualPrompt(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool))
    assert with_other_side(example) is example


def test_masks_of_words_are_drawn_in_isolated_regions(model: Any) -> None:
    encoded = model.encode("sample:astronaut")
    result = model.segment(encoded, ["left eye", "hair", "elephant"])
    eye, hair, elephant = result
    assert (eye.present, hair.present, elephant.present) == (True, True, False)
    assert elephant.area == 0
    assert elephant.candidates == ()
    assert isinstance(eye.heatmap_logits, RefinedLogits)
    assert eye.prompt == TextPrompt("left eye")
    assert eye.candidates[0].region.box is not None
    plain = model.segment(encoded, ["left eye"], refine=False)[0]
    assert type(plain.heatmap_logits) is type(wordmask.segment("sample:astronaut", "face")[0].heatmap_logits)
    alone = model.segment(encoded, ["hair"])[0]
    np.testing.assert_array_equal(alone.mask, hair.mask)  # the same alone and among others


def test_a_phrase_with_a_side_has_the_same_answer_in_the_mirror(model: Any) -> None:
    image = load_image("sample:astronaut")
    one = model.segment(image, ["left eye"], refine=False)[0]
    other = model.segment(flipped_image(image), ["right eye"], refine=False)[0]
    assert one.presence == pytest.approx(other.presence, abs=1e-4)
    np.testing.assert_allclose(one.heatmap, other.heatmap[:, ::-1], atol=1e-3)


def test_boxes_are_drawn_from_a_phrase_and_none_is_normal(model: Any) -> None:
    found = model.draw_boxes("sample:astronaut", "left eye", [(200, 100, 230, 120)])
    (patch,) = found.heatmap_logits.patches
    assert patch.window[0] < 200 < 230 < patch.window[2]
    empty = model.draw_boxes("sample:astronaut", "left eye", [])
    assert not empty.present
    assert empty.area == 0
    with pytest.raises(PromptError, match="expected x0 < x1"):
        model.draw_boxes("sample:astronaut", "left eye", [(900, 0, 950, 20)])


def test_the_map_is_a_detector(model: Any) -> None:
    boxes = MapIsolator(model).detect(model.encode("sample:astronaut"), ["left eye", "elephant", "face"])
    assert set(boxes.phrase_index.tolist()) == {0, 2}
    assert (np.diff(boxes.scores) <= 0).all()
    eye, face = (boxes.boxes[boxes.phrase_index == index][0] for index in (0, 2))
    assert (eye[:2] >= face[:2] - 8).all()
    assert (eye[2:] <= face[2:] + 8).all()
    nothing = MapIsolator(model).detect(model.encode("sample:astronaut"), ["elephant"])
    assert nothing.boxes.shape == (0, 4)


@pytest.mark.usefixtures("embedded")
def test_any_segmenter_is_refined_when_asked() -> None:
    compact = wordmask.load("compact", refine=True)
    refined = compact.segment("sample:astronaut", ["hair", "elephant"])
    plain = wordmask.segment("sample:astronaut", ["hair", "elephant"], model=compact, refine=False)
    assert isinstance(refined[0].heatmap_logits, RefinedLogits)
    assert [f.presence for f in refined] == [f.presence for f in plain]
    assert refined[1].area == 0
    assert refined[0].threshold == plain[0].threshold
    again = wordmask.segment("sample:astronaut", ["hair"], model=compact)
    np.testing.assert_array_equal(again[0].mask, refined[0].mask)


def test_settings_and_damage(bundle: Path, tmp_path: Path) -> None:
    assert refinement.load_refiner(bundle).settings.shift == -0.25
    assert refinement.read_settings(bundle, "draw").margin == 0.5
    broken = shutil.copytree(bundle, tmp_path / "broken")
    content = json.loads((broken / "config.json").read_text())
    for change, said in (
        ({"refine": {"colour": 1}}, "refine"),
        ({"network": {"widths": [1, 2]}}, "no usable config.json"),
        ({"parts": {"text": {"path": "x"}}}, "trunk"),
    ):
        (broken / "config.json").write_text(json.dumps(content | change))
        with pytest.raises(CheckpointError, match=said):
            refinement.load_refiner(broken)
    (broken / "config.json").write_text(json.dumps(content))
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError):
        refinement.load_refiner(broken)


def test_the_crop_network_is_told_the_phrases_that_it_knows(bundle: Path, tmp_path: Path) -> None:
    anything: Any = refinement.load_refiner(bundle).embed
    assert anything(TextPrompt("anything")) is not None  # the bundle does not say
    folder = shutil.copytree(bundle, tmp_path / "some")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"vocabulary": ["left eye"]}))
    embed: Any = refinement.load_refiner(folder).embed
    assert embed(TextPrompt("Left Eye")).shape == (512,)
    assert embed(TextPrompt("harpsichord")) is None
    assert embed(VisualPrompt(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool))) is None


def test_weights_are_read_back(bundle: Path) -> None:
    first, second = refinement.load_refiner(bundle).network, refinement.load_refiner(bundle).network
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not first.training
