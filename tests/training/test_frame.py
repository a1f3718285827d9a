"""Any method trains through the one loop: here one that proposes regions and learns by matching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import wordmask
from tests import fake_proposals
from tests.training.inputs import trained_weights, write_table
from wordmask.training.data import DataChoice
from wordmask.training.loop import StepReport
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import RECIPES
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

SMALL = {"steps": 8, "batch": 4, "warm_up": 0, "lr": 1e-2, "final_lr": 1e-2, "valid_every": 4, "save_every": 2}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_proposals.register(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return fake_proposals.write(tmp_path / "model")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "my", 12)


def recipe(**changes: Any) -> Recipe:
    return with_changes(finetune(), SMALL | changes)


def run(model: Path, table: Path, out: str, chosen: Recipe, **options: Any) -> dict[str, Any]:
    return train(chosen, DataChoice(table), table.parent.parent / out, model=model, device="cpu", **options)


def test_matched_losses_fall_and_the_model_loads(model: Path, table: Path, tmp_path: Path) -> None:
    reports: list[StepReport] = []
    record = run(model, table, "run", recipe(steps=40, valid_every=20), watch=reports.append)
    assert set(reports[1].losses) == {"class", "mask", "quality"}
    first, last = (sum(sum(one.losses.values()) for one in part) for part in (reports[1:9], reports[-8:]))
    assert last < 0.8 * first
    assert (record["state"], record["model"]["parts"]) == ("finished", ["network"])
    assert "forgetting" in record
    found = wordmask.load(tmp_path / "run", device="cpu").segment(table.parent / "photos" / "0.png", ["red square"])[0]
    assert found.candidates


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "sizes": "0:32,3:64"}, {"muon_lr": 5e-3}])
def test_an_interrupted_run_ends_as_one_that_was_not(
    changes: dict[str, Any], model: Path, table: Path, tmp_path: Path
) -> None:
    if "muon_lr" in changes and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    chosen = recipe(**changes)

    def stop(report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    run(model, table, "whole", chosen, probe=None)
    with pytest.raises(KeyboardInterrupt):
        run(model, table, "cut", chosen, probe=None, watch=stop)
    run(model, table, "cut", chosen, probe=None)
    one, other = (trained_weights(tmp_path / name) for name in ("whole", "cut"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    for name in ("best", "last"):
        weights = [(tmp_path / out / name / "model.safetensors").read_bytes() for out in ("whole", "cut")]
        assert weights[0] == weights[1]


def test_a_step_that_is_not_finite_can_be_skipped(
    model: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = fake_proposals.TrainableProposals.loss
    steps: list[int] = []

    def broken(self: Any, batch: Any, step: int) -> dict[str, torch.Tensor]:
        steps.append(step)
        factor = float("nan") if step in (2, 3) else 1.0
        return {name: value * factor for name, value in loss(self, batch, step).items()}

    monkeypatch.setattr(fake_proposals.TrainableProposals, "loss", broken)
    record = run(model, table, "run", recipe(nonfinite="skip", ema=0.9), probe=None)
    assert (record["steps"], record["skipped"], steps) == (8, 2, list(range(8)))
    assert all(weight.isfinite().all() for weight in trained_weights(tmp_path / "run").values())
    lines = [json.loads(line) for line in (tmp_path / "run" / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line.get("mask", 0) is None] == [3, 4]


def test_the_public_function_takes_a_recipes_name(model: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "finetune", recipe)
    record = train("finetune", table, table.parent.parent / "run", model=model, device="cpu", probe=None)
    assert (record["recipe"]["name"], record["steps"]) == ("finetune", 8)
