"""Averaged weights in whole runs: what is validated and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.inputs import open_model, trained_weights, write_small_clipseg, write_table
from wordmask.contracts import Segmenter
from wordmask.methods.clipseg.training import ClipSegTraining
from wordmask.training.data import DataChoice
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

TINY = {"steps": 3, "batch": 4, "warm_up": 0, "size": 32, "valid_every": 2, "save_every": 2}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_clipseg(tmp_path / "clipseg")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "my", 12)


def tiny(**changes: Any) -> Recipe:
    return with_changes(finetune(), TINY | changes)


def run(table: Path, model: Path, recipe: Recipe, out: str = "run") -> None:
    train(recipe, DataChoice(table), table.parent.parent / out, model=model, device="cpu", probe=None)


def test_what_is_written_is_mixed_with_the_first_weights(model: Path, table: Path, tmp_path: Path) -> None:
    for weight in (0.0, 0.25):
        run(table, model, tiny(start_weight=weight), f"keep-{weight}")
    alone, beside = (trained_weights(tmp_path / name) for name in ("keep-0.0", "keep-0.25"))
    assert all(torch.equal(alone[name], beside[name]) for name in alone)  # training itself is the same
    first, trained, kept = (
        load_file(folder / "model.safetensors")
        for folder in (model, tmp_path / "keep-0.0" / "last", tmp_path / "keep-0.25" / "last")
    )
    changed = [name for name in first if not torch.equal(first[name], trained[name])]
    assert changed
    for name in first:
        torch.testing.assert_close(kept[name], 0.25 * first[name] + 0.75 * trained[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["start_weight", "ema"])
def test_what_is_validated_is_what_is_written(
    kind: str, model: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    segmenter = ClipSegTraining.segmenter

    def noted(self: ClipSegTraining) -> Segmenter:
        seen.append({name: tensor.clone() for name, tensor in self.trained["decoder"].state_dict().items()})
        return segmenter(self)

    monkeypatch.setattr(ClipSegTraining, "segmenter", noted)
    run(table, model, tiny(**{kind: 0.5}))
    written = open_model(tmp_path / "run" / "last", tiny()).trained["decoder"].state_dict()
    assert len(seen) == 3
    for name, tensor in seen[-1].items():
        assert torch.equal(written[name], tensor)
    own = trained_weights(tmp_path / "run")
    assert any(not torch.equal(tensor, own[f"model.trained.decoder.{name}"]) for name, tensor in seen[-1].items())
