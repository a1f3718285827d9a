"""Two models on the same images: differences by hand, the images shown, and the page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.halves import Halves, Shrunk, evaluated, write_halves
from tests.fakes import BrightnessSegmenter
from wordmask.data.registry import open_data
from wordmask.errors import DataError
from wordmask.evaluation.benchmarks import BENCHMARKS, TASKS
from wordmask.evaluation.compare import _labels, compare
from wordmask.evaluation.disagreements import find_disagreements
from wordmask.evaluation.report.page import html_page
from wordmask.evaluation.runner import Evaluation
from wordmask.prompts import TextPrompt

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def compared(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    models = [evaluated(), evaluated(Shrunk())]
    return compare(evaluation, models, folder, command="wordmask compare a b", commands=["one", "two"])


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return Evaluation(TASKS["masks"], open_data(write_halves(tmp_path / "halves")))


def test_differences_are_taken_within_images(tmp_path: Path, evaluation: Evaluation) -> None:
    content = compared(evaluation, tmp_path / "out")

    whole, half = (entry["scores"] for entry in content["models"])
    (difference,) = content["differences"]
    assert (difference["from"], difference["model"]) == ("brightness", "shrunk")
    lost = difference["scores"]["iou"]
    assert lost["value"] == pytest.approx(half["iou"]["value"] - whole["iou"]["value"], abs=2e-6)
    assert difference["scores"]["oiou"]["value"] == pytest.approx(
        half["oiou"]["value"] - whole["oiou"]["value"], abs=2e-6
    )
    # Every mask loses its upper half, so the differences vary less than the scores.
    assert lost["value"] < -0.3
    assert lost["high"] - lost["low"] < whole["iou"]["high"] - whole["iou"]["low"]


class Imagining(BrightnessSegmenter):
    """Gives the absent "purple" the mask of "bright"."""

    name = "imagining"

    def _find(self, encoded: Any, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Any:
        asked = TextPrompt("bright") if prompt.name == "purple" else prompt
        return replace(super()._find(encoded, asked, threshold, presence_threshold), prompt=prompt)


def test_more_false_positives_are_a_loss(tmp_path: Path) -> None:
    models = [evaluated(), evaluated(Imagining())]

    content = compare(Evaluation(TASKS["masks"], Halves(4)), models, tmp_path)

    assert content["differences"][0]["scores"]["absent_with_mask"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert content["differences"][0]["scores"]["iou"]["value"] == 0.0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert '<tr><td>absent_with_mask</td><td><span class="worse">+100.0</span>' in page
    assert "Repeat" not in page


def test_a_comparison_is_the_same_twice_and_resumes(tmp_path: Path, evaluation: Evaluation) -> None:
    compared(evaluation, tmp_path / "out")
    first = {
        path.name: path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.suffix != ".jsonl" and path.is_file()
    }
    compared(evaluation, tmp_path / "out")

    assert {
        path.name: path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.suffix != ".jsonl" and path.is_file()
    } == first
    assert {
        "comparison.json",
        "comparison.md",
        "index.html",
        "1-ground-truth.png",
        "1-model-1.png",
        "1-model-2.png",
    } <= set(first)


def test_the_greatest_spread_comes_first() -> None:
    def records(ious: list[list[int]]) -> list[dict[str, Any]]:
        return [
            {
                "key": f"k{place}",
                "rows": [{"label": f"n{n}", "counts": [10, 100, tp, 0, 10 - tp, 90]} for n, tp in enumerate(row)],
            }
            for place, row in enumerate(ious)
        ]

    shown = find_disagreements([records([[5, 5], [9, 9], [4, 4]]), records([[6, 5], [9, 9], [4, 9]])], labels=False)

    assert [one.key for one in shown] == ["k2", "k0"]  # k1: no difference, not shown
    assert shown[0].labels == ("n1", "n0")
    assert shown[0].scores == ((0.4, 0.4), (0.9, 0.4))


def test_label_maps_are_compared_by_pixels_with_the_right_name(tmp_path: Path) -> None:
    content = compared(Evaluation(BENCHMARKS["pas-20"], Halves(4), preset="original"), tmp_path)

    assert content["models"][0]["scores"]["pixel_accuracy"]["value"] == 1.0
    assert content["differences"][0]["scores"]["pixel_accuracy"]["value"] == pytest.approx(-0.5, abs=0.02)
    assert content["disagreements"][0]["prompts"] == []
    assert (tmp_path / "images" / "1-model-2.png").is_file()


def test_other_tasks_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a comparison by the task instances, expected masks or labels"):
        compared(Evaluation(TASKS["instances"], Halves(1)), tmp_path)


def test_one_model_is_no_comparison(tmp_path: Path, evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match="two or more that differ: name each model once"):
        compare(evaluation, [evaluated(), evaluated()], tmp_path / "out", command="", commands=["", ""])
    assert not (tmp_path / "out").exists()


def test_the_page_escapes_what_it_is_given(tmp_path: Path, evaluation: Evaluation) -> None:
    content = compared(evaluation, tmp_path / "out")
    content["disagreements"][0]["key"] = "<script>alert(1)</script>"
    content["models"][0]["label"] = 'a"b'

    page = html_page(content)

    assert "<script" not in page
    assert html.escape("<script>alert(1)</script>") in page
    assert 'alt="a&quot;b' in page


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path, evaluation: Evaluation) -> None:
    compared(evaluation, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")

    assert not re.search(r"https?://|<link|<script|@import|url\(", page)
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) == 3 * len(json.loads((tmp_path / "out" / "comparison.json").read_bytes())["disagreements"]) > 0
    for source in sources:
        with Image.open(tmp_path / "out" / source) as image:
            assert max(image.size) <= 640


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_real_browser_shows_the_page(tmp_path: Path, evaluation: Evaluation) -> None:
    compared(evaluation, tmp_path / "out")
    page = tmp_path / "out" / "index.html"
    probe = (
        "<script>addEventListener('load', () => { const all = [...document.images];"
        "document.title = 'loaded ' + all.filter(i => i.complete && i.naturalWidth > 0).length + ' of ' + all.length"
        "+ ' wide ' + (document.documentElement.scrollWidth <= innerWidth); })</script>"
    )
    (tmp_path / "out" / "probe.html").write_text(page.read_text(encoding="utf-8").replace("</body>", f"{probe}</body>"))
    images = len(re.findall("<img", page.read_text(encoding="utf-8")))

    dom = browse("--dump-dom", tmp_path / "out" / "probe.html", tmp_path)
    assert f"<title>loaded {images} of {images} wide true</title>" in dom

    browse(f"--screenshot={tmp_path / 'shot.png'}", page, tmp_path)
    with Image.open(tmp_path / "shot.png") as shot:
        assert np.asarray(shot.convert("L")).std() > 10  # words and images, not a blank sheet


def browse(action: str, page: Path, folder: Path) -> str:
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,1400",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", action, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout


def test_models_are_called_what_the_user_called_them() -> None:
    def result(asked: str, name: str) -> dict[str, Any]:
        return {"model": {"asked": asked, "name": name}}

    assert _labels([result("compact", "compact-1a2b"), result("./mine/best", "compact-3c4d")]) == [
        "compact",
        "./mine/best",
    ]
    assert _labels([result("fake", "one"), result("fake", "two")]) == ["fake (one)", "fake (two)"]
