"""The command line over a real network: a random CLIPSeg checkpoint in a folder, from image to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import wordmask
from tests.methods.checkpoints import write_clipseg
from wordmask.cli.app import app
from wordmask.ops.rle import decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-clipseg"
    write_clipseg(path, refined=True, size=64)
    return path


def test_it_answers_as_python_does(folder: Path, half_bright: Path) -> None:
    words = ["segment", str(half_bright), "a cat", "hair", "--model", str(folder), "--device", "cpu", "--json"]
    done = CliRunner().invoke(app, [*words, "--dtype", "float32", "--threshold", "0.5"])

    assert (done.exit_code, done.stderr) == (0, "")
    line = json.loads(done.stdout)
    result = wordmask.load(folder, device="cpu", dtype="float32").segment(half_bright, ["a cat", "hair"], threshold=0.5)
    assert line["model"] == result.model
    for found, printed in zip(result, line["prompts"], strict=True):
        assert np.array_equal(decode(printed["mask"]), found.mask)
        assert printed["presence"] == pytest.approx(found.presence, abs=1e-3)


def test_a_damaged_checkpoint_is_one_sentence(folder: Path, tmp_path: Path, half_bright: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in folder.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    done = CliRunner().invoke(app, ["segment", str(half_bright), "hair", "--model", str(damaged)])

    assert (done.exit_code, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("Error: Got ")
    assert "model.safetensors" in said
