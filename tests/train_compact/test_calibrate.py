"""Probabilities are fitted to what they are fitted for, and settings are compared on copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

WEIGHTS = Path(__file__).parents[2] / "src" / "wordmask" / "weights" / "compact"


def rows(kind: Any, count: int, *, scale: float, shift: float, seed: int = 0) -> Any:
    """Answers that are right as often as sigmoid(scale * logit + shift) says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-(scale * logits + shift)))
    return kind(np.arange(count), truth.astype(float), logits, np.ones(count))


def test_the_fit_finds_scale_and_shift(script: Any) -> None:
    calibrate = script("calibrate")
    known = {"a": rows(calibrate.Rows, 40_000, scale=0.7, shift=-0.5)}
    assert calibrate.fit(known) == pytest.approx((0.7, -0.5), abs=0.05)


def test_a_large_set_weighs_no_more_than_a_small_one(script: Any) -> None:
    calibrate = script("calibrate")
    small, large = (rows(calibrate.Rows, n, scale=1, shift=b) for n, b in ((4_000, 1.0), (40_000, -1.0)))
    assert calibrate.fit({"small": small, "large": large})[1] == pytest.approx(0, abs=0.1)


def test_cells_covered_in_part_count_for_both_answers(script: Any) -> None:
    calibrate = script("calibrate")
    logits = np.linspace(-4, 4, 2001)
    share = 1 / (1 + np.exp(-(0.5 * logits + 1)))
    cells = calibrate.Rows(np.zeros(2001), share, logits, np.ones(2001))
    assert calibrate.fit({"a": cells}) == pytest.approx((0.5, 1.0), abs=1e-2)


@pytest.mark.parametrize("recall", [0.5, 0.9])
def test_the_level_keeps_that_share_of_what_is_there(script: Any, recall: float) -> None:
    calibrate = script("calibrate")
    answers = rows(calibrate.Rows, 20_000, scale=1, shift=0)
    level = calibrate.keeps({"a": answers}, recall)
    assert (answers.logit[answers.truth == 1] >= level).mean() == pytest.approx(recall, abs=2e-3)


def test_what_a_gate_keeps_and_lets_in(script: Any) -> None:
    calibrate = script("calibrate")
    truth, logit = np.array([1.0, 1, 1, 0, 0]), np.array([3.0, 0.1, -1, 0.2, -2])
    answers = calibrate.Rows(np.arange(5), truth, logit, np.ones(5))
    assert calibrate.rates(answers, 1.0, 0.0, 0.5) == pytest.approx((2 / 3, 1 / 2))
    assert calibrate.rates(answers, 1.0, 2.5, 0.5) == pytest.approx((1, 1))


def test_halves_share_no_picture(script: Any) -> None:
    calibrate = script("calibrate")
    answers = rows(calibrate.Rows, 11, scale=1, shift=0)
    even, odd = answers.half(0), answers.half(1)
    assert (even.picture.tolist(), odd.picture.tolist()) == ([0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9])
    assert odd.logit.tolist() == answers.logit[1::2].tolist()


def test_unknown_pixels_of_a_mask_do_not_count(script: Any) -> None:
    calibrate, pictures = script("calibrate"), script("pictures")
    labels = np.zeros((64, 64), np.uint8)
    labels[:, :32], labels[:32, 32:] = 1, pictures.IGNORE
    shot = pictures.Shot("facade", "x", np.zeros((64, 64, 3), np.uint8), labels, {1: "sky"}, exhaustive=False)
    logits = np.where(np.arange(16) < 8, 1.0, -1.0) * np.ones((16, 1))
    picture, share, values, known = calibrate.sample(7, shot, "sky", logits, np.random.default_rng(0))
    assert set(picture) == {7}
    np.testing.assert_array_equal(share[known > 0], values[known > 0] > 0)
    assert (known == 0).mean() == pytest.approx(0.25, abs=0.1)
    assert known.sum() == pytest.approx(1)


def test_what_a_set_tells_is_collected_and_calibrated(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calibrate, pictures = script("calibrate"), script("pictures")
    rng, shots = np.random.default_rng(0), []
    for number in range(6):
        pixels = cv2.resize(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8), (64, 64))
        labels = np.repeat(np.repeat(rng.integers(0, 2, (2, 2), dtype=np.uint8), 32, 0), 32, 1)
        atoms = {1: "sky"} if labels.any() else {}
        shots.append(pictures.Shot("camvid", str(number), pixels, labels, atoms, exhaustive=True))
    monkeypatch.setattr(calibrate, "load_pictures", lambda *_, **__: {"camvid": shots})
    monkeypatch.setattr(calibrate, "set_names", lambda data: {"camvid": ["sky", "road"]})
    presences, cells = calibrate.collect(WEIGHTS, tmp_path, tmp_path)
    asked = len(["sky", "road", *calibrate.never_there("camvid")])
    assert presences["camvid"].truth.reshape(6, asked)[:, 0].tolist() == [float(bool(s.atoms)) for s in shots]
    assert not presences["camvid"].truth.reshape(6, asked)[:, 1:].any()
    assert len(cells["camvid"].logit) == calibrate.CELLS * sum(bool(s.atoms) for s in shots)
    assert presences["camvid"].weight[presences["camvid"].truth == 1].sum() == pytest.approx(0.5)


def test_settings_are_compared_without_touching_the_model(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    choose, pictures = script("choose"), script("pictures")
    monkeypatch.setattr(choose, "set_names", lambda data: {"facade": ["sky"]})
    pixels = np.full((64, 64, 3), 120, np.uint8)
    pixels[:32] = (150, 190, 250)
    labels = np.repeat(np.repeat(np.array([[1], [2]], np.uint8), 32, 0), 64, 1)
    shot = pictures.Shot("facade", "x", pixels, labels, {1: "sky", 2: "road"}, exhaustive=False)
    before = (WEIGHTS / "config.json").read_bytes()
    everything, nothing, best = (
        choose.scores(WEIGHTS, {"facade": [shot]}, Path(), {"long_side": 64, "threshold": threshold})
        for threshold in (0.0, 1.0, None)
    )
    assert everything == {"facade": 0.5}  # above the threshold 0 each name covers the whole picture
    assert nothing == {"facade": 0.0}
    assert 0.5 < best["facade"] <= 1
    assert (WEIGHTS / "config.json").read_bytes() == before
