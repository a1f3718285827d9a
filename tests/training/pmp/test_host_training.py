"""Training text attention inside published hosts: targets, frozen parts, losses, and the folder that is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.pmp.folders import write_bundle
from tests.training.inputs import write_table
from wordmask.batch import Batch
from wordmask.errors import TrainingError
from wordmask.methods.pmp.two_stage import TwoStageSegmenter
from wordmask.prompts import TextPrompt
from wordmask.training.data import DataChoice
from wordmask.training.pmp.host_trainable import HostTrainable, step_targets
from wordmask.training.recipe import with_changes
from wordmask.training.recipes import RECIPES
from wordmask.training.recipes.pmp_host import HostMethod, pmp_host
from wordmask.training.run import train
from wordmask.training.schedule import Schedule

PHRASES = ("left", "right", "top", "nothing", "left", "moon")
"""The fifth repeats the first; of the last nobody knows whether it is there."""
METHOD = HostMethod(size=64, points=64, gate=1.0, unguided=0.1)
SCHEDULE = Schedule(steps=1, batch=2, lr=1e-3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("hosts") / "mask2former")


def batch(images: int = 2) -> Batch:
    """Images whose left, right and upper part differ in colour."""
    pixels = torch.zeros(images, 3, 64, 64)
    masks = torch.zeros(images * len(PHRASES), 64, 64)
    presence = torch.tensor([1.0, 1, 1, 0, 1, 0] * images)
    weights = torch.tensor([1.0, 1, 1, 1, 1, 0] * images)
    for image in range(images):
        cut = 24 + 8 * (image % 3)
        pixels[image, 0, :, :cut], pixels[image, 1, :, cut:], pixels[image, 2, :20] = 1, 1, 1
        row = image * len(PHRASES)
        masks[row, :, :cut], masks[row + 1, :, cut:], masks[row + 2, :20], masks[row + 4, :, :cut] = 1, 1, 1, 1
    return Batch(
        [str(image) for image in range(images)], pixels, list(PHRASES) * images, masks, torch.ones_like(masks),
        presence, weights,
    )  # fmt: skip


def opened(bundle: Path, **changes: Any) -> HostTrainable:
    model = replace(METHOD, **changes).open(bundle, SCHEDULE)
    assert isinstance(model, HostTrainable)
    return model


def detached(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in losses.items()}


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()


def test_targets_of_a_step(bundle: Path) -> None:
    training, one = opened(bundle).training_settings, batch()
    drawn = [step_targets(one, training, step) for step in range(200)]
    assert drawn[3] == step_targets(one, training, 3)
    assert drawn[3] != drawn[4]
    for targets in drawn:
        for image in range(2):
            rows = set(range(6 * image, 6 * image + 4))  # neither the repeated nor the unknown phrase
            told, names, found = (set(part[image]) for part in targets)
            assert told <= rows
            assert names == (told or rows)
            assert found == {row for row in (told or rows) if row % 6 < 3}
    everything = step_targets(one, training._replace(every_name=True), 5).names
    assert [set(names) for names in everything] == [set(range(4)), set(range(6, 10))]
    assert step_targets(one, training, 1, unguided=True).prompts == [[], []]


@pytest.mark.parametrize("parts", [("guidance",), ("guidance", "decoder", "pixels", "backbone")])
def test_only_the_chosen_parts_change(bundle: Path, parts: tuple[str, ...]) -> None:
    model = opened(bundle, parts=parts)
    model.train()
    before = {name: weight.detach().clone() for name, weight in model.host.named_parameters()}
    groups = model.parameter_groups()
    optimiser = torch.optim.AdamW([p for group in groups for _, p in group["params"]], lr=1e-2, weight_decay=0.0)
    for step in range(2):
        optimiser.zero_grad()
        torch.autograd.backward(total(model.loss(batch(), step)))
        optimiser.step()
    host = model._kept[0].host
    moved = {host.part_of(name) for name, w in model.host.named_parameters() if not torch.equal(w, before[name])}
    assert moved == set(parts)
    assert not any(name.endswith(".gate") for name, _ in groups[0]["params"])
    gates = next(group for group in groups if group.get("weight_decay") == 0.0)
    assert len(gates["params"]) == host.guided
    if "backbone" in parts:
        assert groups[-1]["lr_scale"] == 0.1
    assert {name for name, _ in model.frozen() if not name.startswith("clip.")} == {
        name for name, w in model.host.named_parameters() if not w.requires_grad
    }


def test_losses_repeat_and_leave_the_random_state(bundle: Path) -> None:
    model = opened(bundle, dual_pass=True)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (detached(model.loss(batch(), step)) for step in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    assert float(total(first)) != float(total(other))
    assert first.keys() == {"class", "mask", "dice", "unguided_class", "unguided_mask", "unguided_dice"}
    assert all(float(value) > 0 for name, value in first.items() if name.startswith("unguided"))


def test_absent_prompts_alone_give_no_mask_loss(bundle: Path) -> None:
    losses = detached(opened(bundle, unguided=0.0, absent=1.0, full=0.0).loss(batch(), 0))
    assert float(losses["mask"]) == float(losses["dice"]) == 0
    assert 0 < float(losses["class"]) < 1e3


def test_what_is_written_loads_and_answers_the_same(bundle: Path, tmp_path: Path) -> None:
    model = opened(bundle).eval()
    model.export(tmp_path)
    loaded = wordmask.load(tmp_path, dtype="float32", device="cpu")
    assert isinstance(loaded, TwoStageSegmenter)
    assert loaded.model.is_guided
    with torch.no_grad():
        for (name, own), (other, theirs) in zip(
            model.host.state_dict().items(), loaded.model.guided.host.model.state_dict().items(), strict=True
        ):
            assert name == other
            assert torch.equal(own, theirs)
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    assert loaded.segment(image, ["left", "moon"]).names == ("left", "moon")
    again = opened(tmp_path)
    assert torch.equal(again.host.state_dict()["pmp.null"], model.host.state_dict()["pmp.null"])


@pytest.mark.parametrize("tokens", ["word", "both"])
def test_words_as_tokens(bundle: Path, tmp_path: Path, tokens: str) -> None:
    model = opened(bundle, text_tokens=tokens, unguided=0.0)
    words = model._encoder.tokens_of(TextPrompt("left"), "left", model._embedded(["left"])[0], True)[0]
    rows = model._embedded(list(PHRASES))
    asked = model._tokens(list(PHRASES), rows, [[0, 2], [1]])
    assert asked is not None
    assert asked.padding is not None
    assert asked.kinds is not None
    assert torch.equal(asked.tokens[0, : len(words)], words)
    assert asked.padding[0].sum() == 0
    assert asked.padding[1].any()
    shown = set(asked.kinds[~asked.padding].tolist())
    assert shown == ({1} if tokens == "word" else {0, 1})
    assert (model._kept[0].guidance.kinds is not None) == (tokens == "both")
    torch.autograd.backward(total(model.loss(batch(), 0)))
    assert model._tokens(list(PHRASES), rows, [[], []]) is None
    model.export(tmp_path)
    loaded = wordmask.load(tmp_path, dtype="float32", device="cpu")
    assert isinstance(loaded, TwoStageSegmenter)
    assert loaded.model.settings.text_tokens == tokens


def test_the_control_arm_is_never_guided(bundle: Path) -> None:
    training = opened(bundle, position="none").training_settings
    assert all(step_targets(batch(), training, step).prompts == [[], []] for step in range(20))


def test_wrong_models_and_parts_are_refused(bundle: Path) -> None:
    with pytest.raises(TrainingError, match="the part 'head'"):
        opened(bundle, parts=("head",))
    with pytest.raises(TrainingError, match="a bundle of a host and a CLIP"):
        opened(bundle / "clip")


def test_recipes_have_the_schedules_of_the_hosts() -> None:
    facts = {name: RECIPES[name]() for name in ("pmp-host", "pmp-mask2former", "pmp-maskformer")}
    schedules = {name: (one.schedule.steps, one.schedule.batch, one.schedule.lr) for name, one in facts.items()}
    assert schedules["pmp-mask2former"] == (92_188, 16, 1e-4)
    assert schedules["pmp-maskformer"] == (30_000, 32, 6e-5)
    for name, recipe in facts.items():
        assert recipe.name == name
        assert set(recipe.flat()) <= set(recipe.method.meanings()) | set(recipe.schedule.to_json()) | set(
            recipe.data.to_json()
        )


def test_a_run_on_a_table(bundle: Path, tmp_path: Path) -> None:
    changes = {"steps": 2, "batch": 2, "size": 64, "points": 32, "valid_every": 2, "valid_limit": 2, "save_every": 2}
    recipe = with_changes(pmp_host(), changes)
    data = DataChoice(write_table(tmp_path / "data"))
    record = train(recipe, data, tmp_path / "run", model=bundle, device="cpu", probe=None)
    assert (record["state"], record["steps"]) == ("finished", 2)
    assert wordmask.load(tmp_path / "run").segment(np.zeros((40, 40, 3), np.uint8), "red square").size == (40, 40)


@pytest.mark.slow
def test_300_steps_halve_the_loss_and_repeat(bundle: Path) -> None:
    curves = []
    for steps in (300, 20):
        model = opened(bundle, parts=("guidance", "decoder", "pixels"), points=128)
        model.train()
        optimiser = torch.optim.AdamW([p for p in model.host.parameters() if p.requires_grad], lr=1e-3)
        curve = []
        for step in range(steps):
            optimiser.zero_grad()
            loss = total(model.loss(batch(4), step))
            torch.autograd.backward(loss)
            optimiser.step()
            curve.append(float(loss.detach()))
        curves.append(curve)
    assert curves[0][:20] == curves[1]
    assert np.mean(curves[0][-30:]) < 0.5 * np.mean(curves[0][:10])
