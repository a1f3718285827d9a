"""A method that proposes regions, through results, files and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import wordmask
from tests import fake_proposals
from tests.methods.contract import MethodContract
from wordmask.cli.app import app
from wordmask.contracts import ProposalSource, Segmenter, Trainable
from wordmask.ops.geometry import restore


class TestFakeProposals(MethodContract):
    """What every method does."""

    @pytest.fixture
    def segmenter(self) -> Segmenter:
        return fake_proposals.ProposalSegmenter(fake_proposals.new_network())


def batch(seed: int = 0, images: int = 8) -> Any:
    """Images with a bright left or upper half, and three phrases each: both halves, one of them there, and a cat."""
    random = np.random.default_rng(seed)
    pixels = torch.full((images, 3, 64, 64), -0.8)
    masks, presence, phrases = torch.zeros(3 * images, 64, 64), torch.zeros(3 * images), []
    for image in range(images):
        side = int(random.integers(2))
        half = (slice(None), slice(0, 32)) if side == 0 else (slice(0, 32), slice(None))
        pixels[image, side][half] = 0.9  # left halves are red, upper ones green
        masks[3 * image + side][half] = 1
        presence[3 * image + side] = 1
        phrases += ["left half", "upper half", "cat"]
    known = torch.ones_like(masks)
    return SimpleNamespace(pixels=pixels, phrases=phrases, masks=masks, known=known, presence=presence)


@pytest.fixture(scope="module")
def trained() -> fake_proposals.TrainableProposals:
    """A network that has learnt the two halves."""
    model = fake_proposals.open_trainable(None)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    first = last = 0.0
    for step in range(250):
        losses = model.loss(batch(step), step)
        total = torch.stack(list(losses.values())).sum()
        first, last = first or float(total.detach()), float(total.detach())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    print(f"loss {first:.2f} -> {last:.2f}")
    assert last < 0.5 * first
    return model


@pytest.fixture
def green(tmp_path: Path) -> Path:
    """An image whose upper half is bright green."""
    pixels = np.full((40, 60, 3), 25, np.uint8)
    pixels[:20, :, 1] = 242
    path = tmp_path / "green.png"
    Image.fromarray(pixels).save(path)
    return path


def test_it_fulfils_the_contracts() -> None:
    network = fake_proposals.new_network()
    assert isinstance(fake_proposals.ProposalSegmenter(network), ProposalSource)
    assert isinstance(fake_proposals.TrainableProposals(network), Trainable)


def test_what_was_learnt_is_found(trained: fake_proposals.TrainableProposals, green: Path) -> None:
    result = trained.segmenter().segment(green, ["left half", "upper half", "cat"])
    left, upper, cat = result
    assert (left.present, upper.present, cat.present) == (False, True, False)
    assert upper.heatmap_logits is None
    assert upper.mask[:18].mean() > 0.9
    assert upper.mask[22:].mean() < 0.1
    assert len(upper.candidates) == fake_proposals.QUERIES
    assert len(upper.instances) == sum(candidate.chosen for candidate in upper.candidates) > 0
    assert upper.instances[0].mask_score is not None
    assert result.to_label_map()[:18].mean() > 1.8


def test_heatmaps_of_regions(trained: fake_proposals.TrainableProposals, green: Path) -> None:
    found = trained.segmenter().segment(green, ["upper half", "cat"])["upper half"]
    assert found.regions
    expected = np.zeros(found.size)
    for region in found.regions:
        values = restore(region.mask.values, region.mask.placement).astype(np.float64)
        expected = np.maximum(expected, region.score / (1 + np.exp(-values)))
    np.testing.assert_allclose(found.heatmap, expected, atol=1e-5)


def test_the_answer_depends_on_the_whole_vocabulary(trained: fake_proposals.TrainableProposals, green: Path) -> None:
    segmenter = trained.segmenter()
    alone, together = segmenter.segment(green, "cat")[0], segmenter.segment(green, ["cat", "upper half"])[0]
    assert segmenter.joint_vocabulary
    assert alone.presence != together.presence


def test_it_explains_its_choice(trained: fake_proposals.TrainableProposals, green: Path) -> None:
    found = trained.segmenter().segment(green, ["upper half", "cat"])["upper half"]
    text = found.explain()
    print(text)
    assert text.startswith("upper half: presence ")
    assert f"of {fake_proposals.QUERIES} chosen" in text
    assert text.count("mask quality") == fake_proposals.QUERIES


def test_export_and_load(
    trained: fake_proposals.TrainableProposals, green: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_proposals.register(monkeypatch)
    trained.export(tmp_path / "model")
    here, there = (
        model.segment(green, ["upper half", "cat"])
        for model in (trained.segmenter(), wordmask.load(tmp_path / "model"))
    )
    np.testing.assert_array_equal(here[0].mask, there[0].mask)


def test_the_command_line(
    trained: fake_proposals.TrainableProposals, green: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_proposals.register(monkeypatch)
    trained.export(tmp_path / "model")
    words = ["segment", str(green), "upper half", "cat", "--model", str(tmp_path / "model"), "--json"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    upper, cat = answer["prompts"]
    assert upper["present"]
    assert not cat["present"]
    assert {"box", "area", "score", "mask_score"} == upper["instances"][0].keys()
    assert upper["instances"][0]["mask_score"] is not None
    names = {"green.overlay.png", "green.mask-upper-half.png", "green.mask-cat.png", "coco.json"}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    coco = json.loads((tmp_path / "out" / "coco.json").read_text(encoding="utf-8"))
    assert coco["images"][0]["presence"].keys() == {"upper half", "cat"}
    assert coco["annotations"][0]["mask_score"] is not None


def test_trained_weights_are_in_two_groups() -> None:
    model = fake_proposals.open_trainable(None)
    groups = model.parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
