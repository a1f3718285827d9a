"""Every script in examples/ runs as its docstring says, with the segmenter replaced by the fake."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes import BrightnessSegmenter
from wordmask import api

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 3


@pytest.fixture(autouse=True)
def _fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wordmask.api.load", lambda *_, **__: BrightnessSegmenter())
    api._kept.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def _forget() -> object:
    yield
    api._kept.cache_clear()


def run(script: Path, *words: str) -> None:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*words)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_docstring_shows_the_command(script: Path) -> None:
    command = re.search(r"^Usage: python (examples/\S+) (.+)$", script.read_text(encoding="utf-8"), re.MULTILINE)

    assert command is not None
    assert FOLDER.parent / command[1] == script
    image, *phrases = shlex.split(command[2])
    assert image.startswith("sample:")
    assert phrases


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_without_arguments_the_usage_is_printed(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"Usage: python examples/{script.name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_segment_one(half_bright: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(FOLDER / "segment_one.py", str(half_bright), "bright", "elephant")

    assert capsys.readouterr().out.splitlines() == [
        "bright: presence 0.97, 1200 pixels, 1 instances",
        "elephant: presence 0.02, 0 pixels, 0 instances",
    ]
    with Image.open("overlay.png") as overlay:
        assert overlay.width >= 60


def test_ask_again(half_bright: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(FOLDER / "ask_again.py", str(half_bright), "bright", "dark")

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == ["bright: 1200 pixels", "dark: 1200 pixels"]
    assert all(re.search(r"\d+ ms$", line) for line in lines)


def test_cut_out(half_bright: Path) -> None:
    run(FOLDER / "cut_out.py", str(half_bright), "bright", "cut.png")

    with Image.open("cut.png") as cut:
        alpha = np.asarray(cut)[:, :, 3]
    assert alpha.shape == (40, 60)
    assert (alpha[:, 31:] == 255).all()
    assert (alpha[:, :20] == 0).all()

    with pytest.raises(SystemExit, match="no elephant"):
        run(FOLDER / "cut_out.py", str(half_bright), "elephant", "none.png")
