"""Recipes, the learning rate and the order of samples."""

from __future__ import annotations

import pytest
import torch

from wordmask.errors import DataError
from wordmask.train.order import Order
from wordmask.train.recipes import RECIPES, Recipe, find_recipe, finetune, phrasecut_plus, with_changes
from wordmask.train.schedule import rate_at


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_complete_value_that_survives_json(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_the_papers_values() -> None:
    recipe = phrasecut_plus()
    assert (recipe.steps, recipe.batch, recipe.decay, recipe.channels) == (20_000, 64, 0.01, 64)
    assert (recipe.negatives, recipe.text_share, recipe.extract_layers) == (0.2, 0.5, (3, 7, 9))
    assert (recipe.bce, recipe.dice, recipe.balanced, recipe.presence) == (1, 0, 0, 0)
    assert (find_recipe("phrasecut").negatives, find_recipe("phrasecut").visual) == (0, False)


def test_the_papers_schedule() -> None:
    recipe = phrasecut_plus()
    rates = [rate_at(step, recipe) for step in (0, 5000, 10_000, 15_000, 20_000)]
    assert rates == pytest.approx([1e-3, 8.682e-4, 5.5e-4, 2.318e-4, 1e-4], rel=1e-4)


def test_the_cosine_is_torchs() -> None:
    recipe = with_changes(finetune(), {"steps": 30, "warm_up": 0, "rate": 0.5, "final_rate": 0.1})
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 30, eta_min=0.1)
    for step in range(30):
        assert rate_at(step, recipe) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
        optimiser.step()
        schedule.step()


def test_a_warm_up_rises_to_the_rate() -> None:
    recipe = with_changes(finetune(), {"steps": 100, "warm_up": 4, "rate": 0.4, "final_rate": 0.0})
    assert [rate_at(step, recipe) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert rate_at(100, recipe) == pytest.approx(0)


def test_changes_are_read_from_texts() -> None:
    changes = {"rate": "1e-4", "parts": "neck, decoder", "extract_layers": "3,6,9", "fresh": "yes", "steps": "7"}
    changed = with_changes(finetune(), changes)
    assert (changed.rate, changed.parts, changed.steps) == (1e-4, ("neck", "decoder"), 7)
    assert (changed.extract_layers, changed.fresh) == ((3, 6, 9), True)


def test_nothing_is_kept_of_a_decoder_that_starts_from_random_weights() -> None:
    with pytest.raises(DataError, match="expected start_share=0"):
        with_changes(finetune(), {"start_share": 0.5, "fresh": True})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rat", "1", "the recipe's value 'rat'"),
        ("rate", "fast", "rate='fast'"),
        ("rate", float("nan"), "rate='nan'"),
        ("steps", 0, "steps='0'"),
        ("steps", True, "steps='True'"),
        ("mirror", 1.5, "mirror='1.5'"),
        ("start_share", 1, "start_share='1'"),
        ("precision", "fp8", "one of no, bf16, fp16"),
        ("accumulate", 3, "a batch of 8 in 3 parts"),
        ("decoder", "unet", "one of attention, deconv"),
        ("towers", "none", "one of given, random"),
        ("readouts", "kept", "one of computed, stored"),
        ("engineering", "concat", "one of crop_blur_highlight352, crop_blur_highlight, "),
        ("variants", -1, "variants='-1'"),
        ("variants", "1.5", "a value of type int"),
        ("only_visual", "maybe", "only_visual='maybe'"),
        ("avoid", "sofa.n.01", "without wordnet"),
        ("decoder", "deconv", "for a decoder that is trained already"),
        ("towers", "random", "for a decoder that is trained already"),
        ("text_towers", "clip", "for a decoder that is trained already"),
    ],
)
def test_impossible_values_are_one_sentence(name: str, value: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        with_changes(finetune(), {name: value})


def test_the_variants_change_nothing_until_they_are_asked_for() -> None:
    recipe = finetune()
    assert (recipe.decoder, recipe.towers, recipe.text_towers) == ("attention", "given", "")
    assert (recipe.engineering, recipe.only_visual) == ("crop_blur_highlight352", False)
    assert (recipe.avoid, recipe.wordnet, recipe.variants, recipe.readouts) == ((), "", 0, "computed")


def test_the_variants_are_read_from_texts() -> None:
    changes = {
        "decoder": "deconv", "towers": "random", "text_towers": "a/clip", "engineering": "blur_highlight",
        "only_visual": "yes", "avoid": "aeroplane.n.01, sofa.n.01", "wordnet": "dict", "variants": "4",
        "readouts": "stored",
    }  # fmt: skip
    changed = with_changes(phrasecut_plus(), changes)
    assert (changed.decoder, changed.towers, changed.text_towers) == ("deconv", "random", "a/clip")
    assert (changed.engineering, changed.only_visual) == ("blur_highlight", True)
    assert (changed.avoid, changed.wordnet) == (("aeroplane.n.01", "sofa.n.01"), "dict")
    assert (changed.variants, changed.readouts) == (4, "stored")
    assert Recipe.from_json(changed.to_json()) == changed


def test_every_epoch_has_every_sample_once_in_an_order_of_its_own() -> None:
    places = [place for part in Order(7, 3, 0, 7, seed=1) for place in part]  # 21 places: three epochs
    epochs = [[index for epoch, index in places if epoch == number] for number in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_an_order_can_begin_anywhere() -> None:
    whole = list(Order(7, 3, 0, 9, seed=1))
    assert list(Order(7, 3, 4, 9, seed=1)) == whole[4:]
    assert list(Order(7, 3, 0, 9, seed=2)) != whole
    assert next(iter(Order(7, 9, 0, 1, seed=1, shuffle=False))) == [(0, i) for i in range(7)] + [(1, 0), (1, 1)]
