"""`wordmask models`, with and without embedded weights and a local cache."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wordmask.cli.app import app
from wordmask.cli.downloads import announce_download
from wordmask.methods.table import METHODS, Method


def listed() -> dict[str, list[dict[str, object]]]:
    done = CliRunner().invoke(app, ["models", "--json"])
    assert done.exit_code == 0
    content: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return content


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "compact"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "wordmask-compact"}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(1_500_000))
    card = {"trained_on": ["faces", "cars"], "quality": {"faces mIoU": 0.61}, "terms": "research only"}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    monkeypatch.setitem(METHODS, "compact", dataclasses.replace(METHODS["compact"], embedded=folder))
    return folder


def test_methods_are_listed_with_what_is_embedded(embedded: Path) -> None:
    methods = {method["name"]: method["embedded"] for method in listed()["methods"]}

    assert methods["clipseg"] is None
    size = sum(path.stat().st_size for path in embedded.iterdir())
    assert methods["compact"] == {
        "bytes": size,
        "trained_on": ["faces", "cars"],
        "quality": {"faces mIoU": 0.61},
        "terms": "research only",
        "folder": str(embedded),
    }


def test_the_tables_say_the_same(embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "later", Method("later", "not built"))
    shown = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"}).stdout

    for text in (
        "clipseg",
        "1.5 MB",
        "trained on faces",
        "terms of use: research only",
        "faces mIoU 0.61",
        "CIDAS/clipseg-rd64-refined",
    ):
        assert text in shown


def test_missing_weights_are_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "compact", dataclasses.replace(METHODS["compact"], embedded=tmp_path / "none"))

    assert listed()["methods"][0]["embedded"] is None
    done = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert [line.split("│")[2].strip() for line in done.stdout.splitlines() if "│" in line][:2] == [
        "missing",
        "none, see presets",
    ]


def test_presets_state_parts_size_licence_and_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordmask.backbones.hub.is_cached", lambda hub, *, revision: hub == "CIDAS/clipseg-rd64")

    presets = {preset["name"]: preset for preset in listed()["presets"]}

    cached = {name: preset["cached"] for name, preset in presets.items() if preset["method"] == "clipseg"}
    assert cached == {
        "clipseg": False,
        "clipseg-rd64": True,
        "clipseg-rd16": False,
    }
    assert presets["clipseg"]["method"] == "clipseg"
    assert presets["clipseg"]["bytes"] == 603_000_000
    part = {"role": "model", "hub": "CIDAS/clipseg-rd64-refined", "revision": None, "bytes": 603_000_000}
    assert presets["clipseg"]["parts"] == [part | {"licence": "Apache-2.0", "cached": False}]
    shown = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"}).stdout
    for text in ("CIDAS/clipseg-rd64-refined", "603 MB", "Apache-2.0"):
        assert text in shown


@pytest.mark.parametrize(
    ("model", "cached", "offline", "said"),
    [
        ("clipseg", False, False, "Downloading CIDAS/clipseg-rd64-refined (603 MB) into the local cache\n"),
        ("clipseg", True, False, ""),
        ("clipseg", False, True, ""),
        ("compact", False, False, ""),
        (None, False, False, ""),
        ("some/folder", False, False, ""),
    ],
)
def test_a_download_is_announced_with_its_size(
    model: str | None, cached: bool, offline: bool, said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("wordmask.backbones.hub.is_cached", lambda hub, *, revision: cached)
    monkeypatch.setattr("wordmask.backbones.hub.is_offline", lambda: offline)

    announce_download(model)

    assert capsys.readouterr().err == said
