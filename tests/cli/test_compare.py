"""`wordmask compare` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.evaluation.halves import Shrunk, evaluated, write_halves
from wordmask.cli.app import app
from wordmask.evaluation.models import EvaluatedModel


@pytest.fixture(autouse=True)
def _fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        EvaluatedModel, "load", lambda model, **options: evaluated(Shrunk()) if model == "shrunk" else evaluated()
    )


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def test_two_models_side_by_side(tmp_path: Path) -> None:
    data, out = write_halves(tmp_path / "halves"), tmp_path / "out"

    done = run("bright", "shrunk", "--data", data, "--out", out)

    assert done.exit_code == 0
    assert "shrunk less brightness: iou -" in done.stdout
    content = json.loads((out / "comparison.json").read_bytes())
    assert content["command"] == f"wordmask compare bright shrunk --data {data} --seed 0 --out {out}"
    assert "| **" not in (out / "comparison.md").read_text(encoding="utf-8")
    assert len(list((out / "models").iterdir())) == 2
    assert (out / "index.html").is_file()


def test_json_is_the_comparison(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves", 2)

    done = run("bright", "shrunk", "--data", data, "--out", tmp_path / "out", "--json")

    assert done.stdout.encode() == (tmp_path / "out" / "comparison.json").read_bytes()


@pytest.mark.parametrize("models", [["bright"], ["bright", "bright"]])
def test_too_few_models_are_one_sentence(tmp_path: Path, models: list[str]) -> None:
    data = write_halves(tmp_path / "halves", 1)

    done = run(*models, "--data", data, "--out", tmp_path / "out")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "expected two or more that differ" in done.stderr
