"""Training of the resolver: prompts, windows, losses, cache, run and export."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.region_checkpoints import write_bundle
from tests.training.inputs import write_table
from wordmask.batch import Place
from wordmask.components.feature_cache import FeatureCache
from wordmask.errors import TrainingError
from wordmask.methods.imss.region_prompts import PromptMixture, draw_prompts, mask_boxes
from wordmask.methods.imss.segmenter import RegionSegmenter
from wordmask.training.data import DataChoice
from wordmask.training.imss.region_windows import target_window
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.imss_sam import imss_sam
from wordmask.training.run import train

TINY = {"steps": 3, "batch": 2, "save_every": 100, "sampled": 64, "prompts": 2, "lr": 1e-2, "decay_from": 3}


def tiny(**changes: Any) -> Recipe:
    return with_changes(imss_sam(), TINY | changes)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "my", 4)


def opened(bundle: Path, table: Path, recipe: Recipe) -> tuple[Any, Any]:
    """The model of a recipe and a batch of its data."""
    model: Any = recipe.method.open(bundle, recipe.schedule)
    data = recipe.data.open(DataChoice(table), model, recipe.schedule, skip_bad=False, scratch=table.parent).train
    return model, data.collate([data[Place(0, index)] for index in range(2)])


def test_prompts_of_every_kind() -> None:
    mask = torch.zeros(200, 100, 80)
    mask[:, 20:40, 30:50] = 1
    assert mask_boxes(mask[:1]).tolist() == [[30, 20, 50, 40]]
    usual, loose, whole, points = (
        draw_prompts(mask, PromptMixture(0.15, *parts), torch.Generator().manual_seed(0))
        for parts in ((0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 1, 0))
    )
    shift = (usual.boxes - torch.tensor([30.0, 20, 50, 40])).abs()
    assert 2.5 < shift.max() <= 3
    growth = (loose.boxes[:, 2] - loose.boxes[:, 0]) / 20
    assert 1.2 <= growth.min() < 1.3
    assert 1.7 < growth.max() <= 1.8
    assert (whole.boxes == torch.tensor([0.0, 0, 80, 100])).all()
    assert points.by_points.all()
    assert not usual.by_points.any()
    on = points.points.long()
    assert (mask[0][on[..., 1], on[..., 0]] == 1).all()
    mixed = draw_prompts(mask, PromptMixture(), torch.Generator().manual_seed(0))
    assert 0.05 < mixed.by_points.float().mean() < 0.15


def test_windows_show_their_target_at_the_scales_of_zooming() -> None:
    mask = np.zeros((500, 700), np.bool_)
    mask[100:140, 600:700] = True
    sides = []
    for seed in range(50):
        top, left, height, width = target_window(mask, np.random.default_rng(seed))
        assert height == width
        assert top <= 100
        assert top + height >= 140
        assert left <= 600
        assert left + width >= 700
        sides.append(width)
    assert 120 <= min(sides) < 140
    assert 280 < max(sides) <= 300


def test_losses_are_means_over_masks_that_are_there(bundle: Path, table: Path) -> None:
    model, batch = opened(bundle, table, tiny())
    losses = model.loss(batch, 0)
    assert set(losses) == {"bce", "dice"}
    assert all(float(loss.detach()) > 0 for loss in losses.values())
    assert {name: float(loss.detach()) for name, loss in model.loss(batch, 0).items()} == {
        name: float(loss.detach()) for name, loss in losses.items()
    }
    empty = batch._replace(masks=torch.zeros_like(batch.masks))
    assert all(float(loss.detach()) == 0 for loss in model.loss(empty, 0).values())
    one = batch._replace(masks=torch.cat([batch.masks[:2], torch.zeros_like(batch.masks[2:])]))
    alone = batch._replace(keys=batch.keys[:1], pixels=batch.pixels[:1], masks=batch.masks[:2], known=batch.known[:2])
    torch.testing.assert_close(model.loss(one, 0)["bce"], model.loss(alone, 0)["bce"], atol=1e-4, rtol=0)


def test_mirrored_images_swap_left_and_right(bundle: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "my", 2)
    names = {"red": "left eye", "green": "right eye", "blue": "left ear", "white": "right ear"}
    names = {f"{colour} square": name for colour, name in names.items()}
    rows = [[names.get(cell, cell) for cell in row] for row in csv.reader(table.read_text().splitlines())]
    table.write_text("\n".join(",".join(row) for row in rows))
    recipe = tiny(mirror=1.0, zoom=0.0, crop=1.0, colour=0.0)
    model: Any = recipe.method.open(bundle, recipe.schedule)
    data = recipe.data.open(DataChoice(table), model, recipe.schedule, skip_bad=False, scratch=tmp_path).train
    plain = with_changes(recipe, {"mirror": 0.0})
    other = plain.data.open(DataChoice(table), model, plain.schedule, skip_bad=False, scratch=tmp_path).train
    swapped = {"left eye": "right eye", "right eye": "left eye", "left ear": "right ear", "right ear": "left ear"}
    for index in range(2):
        mirrored, straight = (
            dict(zip(s.phrases, s.masks, strict=True)) for s in (data[Place(0, index)], other[Place(0, index)])
        )
        assert {swapped[phrase] for phrase in straight} == set(mirrored)
        for phrase, mask in straight.items():
            np.testing.assert_array_equal(mirrored[swapped[phrase]], mask[:, ::-1])


def test_cached_features_give_the_same_loss(bundle: Path, table: Path, tmp_path: Path) -> None:
    model, batch = opened(bundle, table, tiny(sampled=4096))
    fresh = model.loss(batch, 0)
    model.use_cache(FeatureCache(tmp_path / "cache", limit=2**30))
    first, second = model.loss(batch, 0), model.loss(batch, 0)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 2
    for name, loss in fresh.items():
        assert float(first[name].detach()) == pytest.approx(float(loss.detach()), abs=1e-3)
        assert torch.equal(first[name], second[name])


def test_a_run_trains_the_resolver_alone_and_loads(bundle: Path, table: Path, tmp_path: Path) -> None:
    record = train(tiny(token=True), DataChoice(table), tmp_path / "run", model=bundle, device="cpu", probe=None)
    assert record["model"]
    folder = tmp_path / "run" / "last" if (tmp_path / "run" / "last").is_dir() else tmp_path / "run" / "best"
    config = json.loads((folder / "config.json").read_text())
    assert config["parts"]["segmenter"] == {"path": str((bundle / "segmenter").resolve())}
    assert config["parts"]["resolver"] == {"path": "resolver"}
    trained, plain = wordmask.load(folder, dtype="float32"), wordmask.load(bundle, dtype="float32")
    assert isinstance(trained, RegionSegmenter)
    assert isinstance(plain, RegionSegmenter)
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    (one,), (other,) = (s.segment_boxes(s.encode(pixels), [(4.0, 4.0, 30.0, 30.0)]) for s in (trained, plain))
    assert np.abs(one.logits.values - other.logits.values).max() > 1e-4


def test_only_bundles_are_trained(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "sam", "parts": {"segmenter": {"path": "."}}}')
    recipe = tiny()
    with pytest.raises(TrainingError, match="with the parts segmenter, expected a detector and a SAM"):
        recipe.method.open(tmp_path, recipe.schedule)
