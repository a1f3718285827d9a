"""Recipes: complete configurations, and how their values are changed."""

from __future__ import annotations

import json

import pytest

from wordmask.errors import DataError
from wordmask.training.recipe import GROUPS, with_changes
from wordmask.training.recipes import RECIPES, find_recipe
from wordmask.training.recipes.finetune import finetune
from wordmask.training.recipes.phrasecut import phrasecut, phrasecut_plus


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_recipe_is_plain_and_has_a_name_of_its_own(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    written = json.loads(json.dumps(recipe.to_json()))
    assert written == recipe.to_json()
    names = [key for group in GROUPS for key in written[group]]
    assert len(names) == len(set(names)) == len(recipe.flat())  # each can be changed by its name alone


def test_the_papers_values() -> None:
    recipe = phrasecut_plus().flat()
    assert [recipe[name] for name in ("steps", "batch", "weight_decay", "channels")] == [20_000, 64, 0.01, 64]
    assert [recipe[name] for name in ("negatives", "text_weight", "extract_layers")] == [0.2, 0.5, [3, 7, 9]]
    assert [recipe[name] for name in ("bce", "dice", "balanced_bce", "presence")] == [1, 0, 0, 0]
    assert [recipe[name] for name in ("engineering", "variants")] == ["crop_blur_highlight352", 0]
    assert [phrasecut().flat()[name] for name in ("negatives", "visual")] == [0, False]


def test_changes_are_read_from_texts() -> None:
    changed = with_changes(finetune(), {"lr": "1e-4", "parts": "neck, decoder", "steps": "7", "shuffle": "no"}).flat()
    assert [changed[name] for name in ("lr", "parts", "steps", "shuffle")] == [1e-4, ["neck", "decoder"], 7, False]
    changes = {
        "decoder": "deconv", "towers": "random", "text_towers": "a/clip", "engineering": "blur_highlight",
        "only_visual": "yes", "avoid": "aeroplane.n.01, sofa.n.01", "wordnet": "dict", "variants": "4",
        "extract_layers": "3,6,9",
    }  # fmt: skip
    changed = with_changes(phrasecut_plus(), changes).flat()
    assert [changed[name] for name in ("decoder", "towers", "text_towers")] == ["deconv", "random", "a/clip"]
    assert [changed[name] for name in ("engineering", "only_visual")] == ["blur_highlight", True]
    assert [changed[name] for name in ("avoid", "wordnet")] == [["aeroplane.n.01", "sofa.n.01"], "dict"]
    assert [changed[name] for name in ("variants", "extract_layers")] == [4, [3, 6, 9]]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("learning_rat", "1", "the value 'learning_rat' of finetune, expected one of steps, batch, lr"),
        ("lr", "fast", "lr='fast'"),
        ("lr", float("nan"), "lr='nan'"),
        ("steps", 0, "steps='0'"),
        ("steps", True, "steps='True'"),
        ("mirror", 1.5, "mirror='1.5'"),
        ("start_weight", 1, "start_weight='1'"),
        ("ema", 1.0, "ema='1.0'"),
        ("precision", "fp8", "one of no, bf16, fp16"),
        ("lr_schedule", "step", "one of cosine, constant, linear"),
        ("nonfinite", "ignore", "one of stop, skip"),
        ("sizes", "192", "a value of type tuple"),
        ("accumulate", 3, "a batch of 8 in 3 parts"),
        ("variants", -1, "variants='-1'"),
        ("variants", "1.5", "a value of type int"),
        ("decoder", "deconv", "the value 'decoder' of finetune"),
        ("name", "other", "the value 'name' of finetune"),
    ],
)
def test_impossible_values_are_one_sentence(name: str, value: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        with_changes(finetune(), {name: value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("decoder", "unet", "one of attention, deconv"),
        ("towers", "none", "one of given, random"),
        ("engineering", "concat", "one of crop_blur_highlight352, crop_blur_highlight, "),
        ("only_visual", "maybe", "only_visual='maybe'"),
        ("avoid", "sofa.n.01", "without wordnet"),
        ("muon_lr", 0.02, "muon_lr with precision=fp16"),
        ("mirror", 0.5, "the value 'mirror' of phrasecut-plus"),
    ],
)
def test_impossible_values_of_clipsegs_recipe(name: str, value: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        with_changes(phrasecut_plus(), {name: value})
