"""The program that draws everyday scenes asks eight phrases of each and counts as it says."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.scripts import load_benchmark
from tests.fakes import BrightnessSegmenter


@pytest.fixture
def module() -> Any:
    return load_benchmark("everyday_scenes")


def test_ten_scenes_are_asked_eight_phrases_each(module: Any) -> None:
    scenes = module.scenes()
    assert len(scenes) == 10
    for scene in scenes.values():
        phrases = {*scene.there, *scene.absent}
        assert len(phrases) == len(scene.there) + len(scene.absent) == 8


def test_scenes_of_installed_packages_are_read(module: Any) -> None:
    installed = [scene for scene in module.scenes().values() if find_spec(scene.file[0])]
    assert len(installed) >= 7  # scikit-image's; matplotlib and scikit-learn may be missing
    for scene in installed:
        assert np.asarray(module.read(scene)).std() > 5


def test_false_positives_and_misses_are_counted(module: Any) -> None:
    answers = {
        key: {"one": {phrase: {"area": float(phrase == scene.there[0])} for phrase in (*scene.there, *scene.absent)}}
        for key, scene in module.scenes().items()
    }
    answers["coffee"]["one"]["cat"] = {"area": 0.1}
    expected = {"absent": 45, "absent with a mask": 1, "there": 35, "there without": 25}
    assert module.counts(answers) == {"one": expected}


def test_a_row_shows_the_image_and_each_answer(module: Any) -> None:
    scene = module.scenes()["chelsea"]
    image = module.read(scene)
    row, answers = module.draw_row(image, {"one": BrightnessSegmenter(), "two": BrightnessSegmenter()}, scene)
    assert row.height == module.HEIGHT + module.STRIP
    assert row.width == 3 * round(image.width * module.HEIGHT / image.height)
    assert set(answers["one"]) == {*scene.there, *scene.absent}
    assert answers["one"] == answers["two"]
