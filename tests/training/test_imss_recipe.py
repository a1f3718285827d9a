"""Training of the crop network: coarse maps, crops, sides, losses, and the recipe from start to export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.imss_bundle import write_bundle
from tests.training.inputs import write_table
from wordmask.batch import Place
from wordmask.errors import DataError
from wordmask.training.data import DataChoice
from wordmask.training.imss.coarse_maps import blurred_map, box_map, degraded, wide_map
from wordmask.training.imss.crop_set import MixedCrops
from wordmask.training.imss.crops import CropSettings, LabelledImage, draw_crop
from wordmask.training.imss.losses import bce_loss, dice_loss
from wordmask.training.recipe import with_changes
from wordmask.training.recipes.imss import imss
from wordmask.training.schedule import Schedule


def _image() -> LabelledImage:
    pixels = np.zeros((90, 120, 3), np.uint8)
    masks = np.zeros((2, 90, 120), bool)
    masks[0, 30:40, 20:40] = masks[1, 30:40, 80:100] = True
    pixels[masks[0]] = (250, 20, 20)
    pixels[masks[1]] = (20, 20, 250)
    return LabelledImage(pixels, ("left eye", "right eye"), masks, None, np.zeros((90, 120), bool))


def test_mirrored_crops_swap_the_sides() -> None:
    """The red part is the left eye; mirrored, it is called the right eye."""
    image, seen = _image(), set()
    for seed in range(24):
        crop = draw_crop(
            image, np.random.default_rng(seed), CropSettings(side=64, phrase=1.0, wrong=0.0, wide=0.0, box=0.0)
        )
        wanted = crop.target > 0
        if not wanted.any():
            continue
        red = crop.pixels[0][wanted].mean() > crop.pixels[2][wanted].mean()
        mirrored = (crop.phrase == "left eye") != red
        seen.add((crop.phrase, bool(mirrored)))
    assert seen == {("left eye", False), ("left eye", True), ("right eye", False), ("right eye", True)}


def test_without_mirroring_phrase_and_mask_stay_together() -> None:
    for seed in range(8):
        settings = CropSettings(side=64, phrase=1.0, wrong=0.0, wide=0.0, mirror=0.0)
        crop = draw_crop(_image(), np.random.default_rng(seed), settings)
        wanted = crop.target > 0
        assert wanted.any()
        assert (crop.pixels[0][wanted].mean() > crop.pixels[2][wanted].mean()) == (crop.phrase == "left eye")
        assert crop.pixels.shape == (3, 64, 64)
        assert crop.coarse.shape == crop.weight.shape == (64, 64)
        assert abs(crop.coarse).max() <= 2


def test_a_wrong_part_asks_for_what_is_not_in_the_box() -> None:
    settings = CropSettings(side=32, wrong=1.0, wide=0.0, phrase=0.0, mirror=0.0, box=1.0)
    for seed in range(6):
        crop = draw_crop(_image(), np.random.default_rng(seed), settings)
        assert crop.phrase in ("left eye", "right eye")  # told although phrases are off
        assert (crop.coarse > 0).any()
        assert not crop.target.any()


def test_absent_names_have_empty_targets() -> None:
    """The names are told though phrases are off; with `absent` at 1 nothing else is asked."""
    image = replace(_image(), absent=("hat", "necklace"))
    settings = CropSettings(side=32, wide=0.0, absent=1.0, phrase=0.0, mirror=0.0)
    crops = [draw_crop(image, np.random.default_rng(seed), settings) for seed in range(8)]
    assert {crop.phrase for crop in crops} == {"hat", "necklace"}
    assert all((crop.coarse > 0).any() and not crop.target.any() for crop in crops)


def test_wide_boxes_hold_the_mask_and_much_else() -> None:
    mask = _image().masks[0]
    shares = []
    for seed in range(30):
        positive = wide_map(mask, np.random.default_rng(seed)) > 0
        assert positive[mask].all()
        shares.append(positive.mean())
    assert sum(share == 1 for share in shares) > 3
    assert min(shares) >= 0.09
    settings = CropSettings(side=32, wide=1.0, phrase=0.0)
    crops = [draw_crop(_image(), np.random.default_rng(seed), settings) for seed in range(20)]
    assert all(crop.phrase for crop in crops)
    assert 8 < sum(crop.target.any() for crop in crops) < 20


def test_coarse_maps_lie_near_the_mask() -> None:
    mask = np.zeros((90, 120), bool)
    mask[30:50, 40:80] = True
    for seed in range(10):
        draw = np.random.default_rng(seed)
        for coarse in (blurred_map(mask, draw), box_map(mask, draw)):
            rows, columns = np.nonzero(coarse > 0)
            y, x = (rows.mean() + 0.5) / coarse.shape[0] * 90, (columns.mean() + 0.5) / coarse.shape[1] * 120
            assert abs(y - 40) < 12
            assert abs(x - 60) < 18
        logits = blurred_map(mask, draw)
        assert degraded(logits, draw).shape == logits.shape


def test_losses_by_hand() -> None:
    logits = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    target, weight = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), torch.tensor([[[3.0, 1.0], [1.0, 0.0]]])
    torch.testing.assert_close(bce_loss(logits, target, weight), torch.tensor(2.0).log())
    # three known pixels at probability 1/2, one of them wanted: Dice (2 * 0.5 + 8) / (1.5 + 1 + 8)
    torch.testing.assert_close(dice_loss(logits, target, weight), torch.tensor(1 - 9 / 10.5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::wordmask.errors.WordmaskWarning")
def test_the_recipe_trains_the_crop_network_alone_and_exports_a_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    changes = {"steps": 2, "batch": 2, "side": 32, "valid_every": 2, "valid_limit": 1, "warm_up": 0, "save_every": 2}
    changes["also"] = f"{write_table(tmp_path / 'more', 3, seed=5)}:0.5"
    recipe = with_changes(imss(), changes)
    data = DataChoice(write_table(tmp_path / "data", 4))
    wordmask.train(recipe, data, tmp_path / "run", model=bundle, device="cpu", probe=None)
    before: Any = wordmask.load(bundle)
    after: Any = wordmask.load(tmp_path / "run")
    assert type(after) is type(before)
    assert after.refiner.settings.margin == 0.5
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["images"] == 7
    weights = [dict(m.refiner.network.named_parameters()) for m in (before, after)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    trunks = [m.model.network.state_dict() for m in (before, after)]
    assert all(torch.equal(trunks[0][name], trunks[1][name]) for name in trunks[0])


def test_crops_of_several_sets_are_drawn_by_weight() -> None:
    """Sets that answer with their own number: the second is drawn three times as often as the first."""

    class Numbered:
        split, images = "train", 10

        def __init__(self, number: int) -> None:
            self.name = self.fingerprint = str(number)

        def crop(self, number: int, draw: Any, *, size: int | None = None) -> tuple[str, int]:
            return self.name, number

    sets: Any = [Numbered(0), Numbered(1)]
    mixed = MixedCrops(sets, [0.5, 1.5], Schedule(steps=1, batch=4, lr=1e-3), fingerprint="both")
    drawn: Any = [mixed[Place(step, number, None)] for step in range(200) for number in range(4)]
    assert 0.7 < np.mean([name == "1" for name, _ in drawn]) < 0.8
    assert {number for _, number in drawn} == set(range(10))
    assert (mixed.images, mixed.name) == (20, "0+1")
    assert mixed[Place(3, 1, None)] == mixed[Place(3, 1, None)]


def test_names_are_drawn_more_often() -> None:
    """Two eyes of equal size: with a factor of 3 the left one is asked in three of four crops."""
    settings = CropSettings(
        side=32, phrase=1.0, wrong=0.0, wide=0.0, absent=0.0, mirror=0.0, often=(("left eye", 3.0), ("hat", 9.0))
    )
    asked = [draw_crop(_image(), np.random.default_rng(seed), settings).phrase for seed in range(200)]
    assert 0.68 < np.mean([phrase == "left eye" for phrase in asked]) < 0.82


@pytest.mark.parametrize("name", ["also", "often"])
def test_weights_of_sets_and_names_are_positive(name: str) -> None:
    with pytest.raises(DataError, match="weights above 0"):
        with_changes(imss(), {name: "sets/coco:0"})


def test_sets_with_unmarked_objects_are_named_in_also() -> None:
    recipe = with_changes(imss(), {"also": "sets/people:0.1,sets/coco:1", "unlabelled_in": "people"})
    assert recipe.data.unlabelled_in == ("people",)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"folders of also \(coco\)"):
        with_changes(imss(), {"also": "sets/coco:1", "unlabelled_in": "people"})


def test_sides_that_the_network_cannot_take() -> None:
    with pytest.raises(DataError, match="a multiple of 32"):
        with_changes(imss(), {"side": 100})
