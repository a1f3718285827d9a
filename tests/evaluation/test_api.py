"""`wordmask.evaluate` from Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wordmask
from tests.evaluation.halves import Halves, Shrunk, evaluated, write_halves
from tests.fakes import BrightnessSegmenter
from wordmask.errors import DataError, WordmaskWarning
from wordmask.evaluation.api import Score
from wordmask.evaluation.models import EvaluatedModel


def test_a_segmenter_on_a_data_set() -> None:
    result = wordmask.evaluate(BrightnessSegmenter(), Halves(4))

    assert result["miou"] == 1.0
    assert result["auroc"] == 1.0
    assert result.scores["miou"] == Score(1.0, 1.0, 1.0)
    assert result.presence["absent_with_mask"].value == 0.0
    assert result.content["command"] is None
    assert "## Repeat" not in result.to_markdown()
    assert repr(result).startswith("EvaluationResult(halves all, 4 samples: miou 100.0 [100.0, 100.0], oiou")


def test_other_tasks_and_options() -> None:
    shrunk = wordmask.evaluate(Shrunk(), Halves(6), task="labels", limit=3)
    whole = wordmask.evaluate(BrightnessSegmenter(), Halves(6), task="labels", limit=3)

    assert shrunk["pixel_accuracy"] == pytest.approx(0.5, abs=0.02)
    assert whole["pixel_accuracy"] == 1.0
    assert shrunk.content["samples"] == 3
    with pytest.raises(DataError, match="the score 'iou', expected one of miou, "):
        _ = whole["iou"]


def test_a_folder_and_a_run_that_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluatedModel, "load", lambda model, **options: evaluated())
    data = write_halves(tmp_path / "halves")

    result = wordmask.evaluate("mine", data, split="val", exhaustive=True, folder=tmp_path / "run")

    assert json.loads((tmp_path / "run" / "result.json").read_bytes()) == result.content
    assert result.content["command"] == (
        f"wordmask evaluate --data {data} --split val --exhaustive --seed 0 --model mine --out {tmp_path / 'run'}"
    )
    assert wordmask.evaluate("mine", data, split="val", exhaustive=True, folder=tmp_path / "run").content == (
        result.content
    )


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")
    (data / "labels" / "p000.png").unlink()
    with pytest.warns(WordmaskWarning, match=r"^Left out: Got the file '.*p000\.png' with no partner"):
        wordmask.evaluate(BrightnessSegmenter(), data, split="all")
