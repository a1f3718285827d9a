"""CLIPSeg's variants and ablations in training, on data of any shape: what is frozen, exported, resumed and stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wordmask
from tests.methods.checkpoints import write_vit
from tests.training.inputs import (
    first_batch,
    open_model,
    open_samples,
    trained_weights,
    write_labels,
    write_small_clipseg,
)
from wordmask.batch import Batch
from wordmask.errors import TrainingError
from wordmask.methods.trainable import fingerprint_weights
from wordmask.prompts import TextPrompt, VisualPrompt
from wordmask.training.data import DataChoice
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

SMALL: dict[str, Any] = {
    "steps": 3, "batch": 4, "size": 32, "channels": 8, "precision": "no", "workers": 0, "valid_every": 0,
    "save_every": 1, "engineering": "crop_blur_highlight", "negatives": 0.5,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "PC+": {},
    "deconv": {"decoder": "deconv"},
    "vitseg": {},
    "random": {"towers": "random", "seed": 7},
    "one layer": {"extract_layers": (3,)},
    "D=16, refined": {"channels": 16, "refined": True},
    "highlight mask": {"engineering": "blur_highlight", "size": 48},
    "only visual": {"only_visual": True, "text_weight": 1.0},
    "no visual": {"visual": False, "prefixes": "plain", "negatives": 0.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    write_labels(folder / "my", 6)
    write_small_clipseg(folder / "clip")
    write_vit(folder / "vit", size=32)
    return folder


def recipe(folder: Path, name: str, **changes: Any) -> Recipe:
    towers = {"text_towers": str(folder / "clip")} if name == "vitseg" else {}
    return with_changes(find_recipe("phrasecut-plus"), SMALL | towers | VARIANTS[name] | changes)


def start(folder: Path, name: str) -> Path:
    return folder / ("vit" if name == "vitseg" else "clip")


def batch(folder: Path, model: Any, chosen: Recipe) -> Batch:
    return first_batch(open_samples(folder / "my", chosen, model, exhaustive=True))


def bce(model: Any, inputs: Batch) -> torch.Tensor:
    losses: dict[str, torch.Tensor] = model.loss(inputs, 0)
    return losses["bce"]


def two_steps(model: Any, inputs: Batch) -> list[float]:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(2):
        loss = bce(model, inputs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_learns_and_answers_the_same_when_it_is_loaded(name: str, folder: Path, tmp_path: Path) -> None:
    chosen = recipe(folder, name)
    model = open_model(start(folder, name), chosen)
    inputs = batch(folder, model, chosen)
    before, weights = fingerprint_weights(model.frozen()), [weight.clone() for weight in model.parameters()]
    assert (inputs.supports is None) == (name == "no visual")

    losses = two_steps(model, inputs)

    assert losses[1] < losses[0]
    assert fingerprint_weights(model.frozen()) == before
    assert all(not torch.equal(weight, old) for weight, old in zip(model.parameters(), weights, strict=True))
    assert all(weight.grad is None for module in model._frozen.values() for weight in module.parameters())

    model.eval()
    model.export(tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[5:20, 10:40] = True
    prompts = [TextPrompt("red"), VisualPrompt(pixels, mask, mode="crop_blur_highlight")]
    live = model.segmenter().segment(pixels, prompts)
    loaded = wordmask.load(tmp_path / "model", device="cpu", dtype="float32").segment(pixels, prompts)
    for one, other in zip(live, loaded, strict=True):
        np.testing.assert_allclose(one.heatmap_logits.values, other.heatmap_logits.values, atol=1e-5)
    again = open_model(tmp_path / "model", with_changes(finetune(), {"size": chosen.flat()["size"]}))
    assert fingerprint_weights(again.frozen()) == before


def test_a_random_vision_tower_is_the_seeds_and_words_stay(folder: Path, tmp_path: Path) -> None:
    given = load_file(folder / "clip" / "model.safetensors")
    drawn = []
    for seed in (7, 7, 8):
        model = open_model(folder / "clip", recipe(folder, "random", seed=seed))
        model.export(tmp_path / f"{len(drawn)}")
        drawn.append(load_file(tmp_path / f"{len(drawn)}" / "model.safetensors"))
    towers = {name for name in given if name.startswith("clip.")}
    assert towers == {name for name in drawn[0] if name.startswith("clip.")}
    vision = {name for name in towers if name.startswith(("clip.vision_model.", "clip.visual_projection."))}
    matrices = {name for name in vision if given[name].ndim > 1}
    assert len(matrices) > 50
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in towers)
    assert all(torch.equal(drawn[0][name], given[name]) for name in towers - vision)
    assert not any(torch.equal(drawn[0][name], given[name]) for name in matrices)
    assert not any(torch.equal(drawn[0][name], drawn[2][name]) for name in matrices)


@pytest.mark.parametrize("name", ["deconv", "vitseg", "random"])
def test_an_interrupted_variant_ends_as_one_that_was_not(name: str, folder: Path, tmp_path: Path) -> None:
    chosen = recipe(folder, name)

    def run(out: str, watch: Any = None) -> dict[str, Any]:
        choice = DataChoice(folder / "my", exhaustive=True)
        return train(chosen, choice, tmp_path / out, model=start(folder, name), device="cpu", watch=watch)

    def stop(report: Any) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    record = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", stop)
    seen: list[int] = []
    resumed = run("cut", lambda report: seen.append(report.step))

    assert seen == [2, 3]
    assert record["model"] == resumed["model"]
    assert record["recipe"]["method"]["decoder"] == chosen.flat()["decoder"]
    one, other = (trained_weights(tmp_path / out) for out in ("whole", "cut"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    family = {"deconv": "clipseg-deconv-rd8-", "vitseg": "vitseg-rd8-", "random": "clipseg-rd8-"}[name]
    assert wordmask.load(tmp_path / "whole", device="cpu").name.startswith(family)


def test_the_text_tower_of_a_vitseg_is_frozen(folder: Path) -> None:
    """The published code left it in the optimiser."""
    model = open_model(folder / "vit", recipe(folder, "vitseg"))
    assert model.parts == ("decoder",)
    assert {name.split(".")[0] for name, _ in model.frozen()} == {"vision", "text"}


# --- feature cache -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PC+", "deconv", "vitseg"])
def test_cached_features_give_nearly_the_same_loss_and_are_not_computed_again(
    name: str, folder: Path, tmp_path: Path
) -> None:
    from wordmask.components.feature_cache import FeatureCache

    chosen = recipe(folder, name, variants=1, dropout=0.0)
    model = open_model(start(folder, name), chosen)
    inputs = batch(folder, model, chosen)
    plain = bce(model, inputs).item()
    model.use_cache(FeatureCache(tmp_path / "cache", limit=2**30, examples=True))
    first = bce(model, inputs).item()
    vision = model._frozen["vision"]
    vision.blocks = torch.nn.ModuleList()  # what is not cached can no longer be computed
    second = bce(model, inputs).item()
    assert first == pytest.approx(plain, rel=1e-2)
    assert second == first


def test_features_of_two_towers_do_not_mix(folder: Path, tmp_path: Path) -> None:
    from wordmask.components.feature_cache import FeatureCache

    store = FeatureCache(tmp_path / "store", limit=2**30)
    pixels = torch.zeros(1, 3, 32, 32)
    seen = []
    for name in ("PC+", "random", "one layer", "vitseg"):
        model = open_model(start(folder, name), recipe(folder, name))
        model.use_cache(store)
        seen.append([part.clone() for part in model._encode(pixels)])  # type: ignore[operator]
    assert [len(parts) for parts in seen] == [3, 3, 1, 3]
    assert torch.equal(seen[0][0], seen[2][0])  # block 3 of the same tower
    assert not torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][0], seen[3][0])


def test_examples_that_never_come_again_are_not_cached(folder: Path, tmp_path: Path) -> None:
    from wordmask.components.feature_cache import FeatureCache

    for variants in (0, 2):
        cache = tmp_path / str(variants)
        chosen = recipe(folder, "PC+", variants=variants)
        model = open_model(folder / "clip", chosen)
        model.use_cache(FeatureCache(cache, limit=2**30, examples=variants > 0))
        inputs = batch(folder, model, chosen)
        model(inputs)
        assert inputs.supports is not None
        images, examples = (
            len({picture.numpy().tobytes() for picture in part}) for part in (inputs.pixels, inputs.supports)
        )
        assert (images, examples > 1) == (2, True)  # two phrases of each of two square images
        cached = sum(path.is_file() for path in cache.rglob("*"))
        assert cached == images + (examples if variants else 0)


def test_a_model_without_a_frozen_encoder_has_nothing_to_cache(folder: Path, tmp_path: Path) -> None:
    from tests.training.inputs import write_small_compact
    from wordmask.components.feature_cache import FeatureCache

    model = open_model(write_small_compact(tmp_path / "compact"), finetune())
    with pytest.raises(TrainingError, match="a feature cache for a model whose trained parts are neck, decoder"):
        model.use_cache(FeatureCache(tmp_path / "cache", limit=2**30, examples=True))
