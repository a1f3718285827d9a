"""`wordmask segment --place --explain`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner, Result

from wordmask.cli.app import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["segment", *words])


def test_candidates_as_text_and_as_images(tmp_path: Path) -> None:
    words = ("sample:astronaut", "the face on the left", "--explain", "--out", str(tmp_path / "out"))
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "place: face [left]: 1 of" in done.output
    assert "detection" in done.output
    assert "\\n" not in done.output  # line by line
    with Image.open(tmp_path / "out" / "astronaut.explain-the-face-on-the-left.png") as image:
        assert image.width == 512
        assert image.height > 512
    assert run(*words).exit_code == 0  # its own files are renewed


def test_candidates_as_json(tmp_path: Path) -> None:
    prompt = json.loads(run("sample:astronaut", "the face on the left", "--explain", "--json").stdout)["prompts"][0]
    assert prompt["prompt"] == "the face on the left"
    assert [one["chosen"] for one in prompt["candidates"]].count(True) == 1
    assert set(prompt["candidates"][0]["scores"]) >= {"detection", "left", "place"}


def test_beside_an_overlay_and_a_file_of_the_users_stays(tmp_path: Path) -> None:
    words = ("sample:astronaut", "face", "--explain", "--out", str(tmp_path / "o.png"))
    assert run(*words).exit_code == 0
    (tmp_path / "o.explain-face.png").write_text("mine")
    done = run(*words)
    assert (done.exit_code, "which wordmask did not write" in done.output) == (2, True)
    assert (tmp_path / "o.explain-face.png").read_text() == "mine"


def test_a_wrong_place_is_told() -> None:
    done = run("sample:astronaut", "face", "--place", "mine", "--json")
    assert (done.exit_code, "place='mine'" in done.output) == (2, True)
