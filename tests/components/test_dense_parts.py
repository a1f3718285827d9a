"""Presence, negatives and thresholds of dense maps, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.images import scene
from wordmask.components.negatives import negatives_of, suppress
from wordmask.components.presence import peak_presence
from wordmask.components.thresholds import checked_probability, image_cells, own_threshold
from wordmask.errors import PromptError
from wordmask.ops.geometry import Placement, letterbox, squash
from wordmask.ops.probability import best_threshold
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt


def logits(seed: int = 0, size: tuple[int, int] = (44, 44)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)


def test_presence_is_the_highest_smoothed_probability() -> None:
    values = logits()
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(values)[None], 2, stride=1)  # 44 / 22 = 2 cells a side
    expected = float(means.max().sigmoid())
    assert peak_presence(values, squash((100, 80), (352, 352))) == pytest.approx(expected, abs=1e-6)


def test_padding_has_no_presence() -> None:
    values = np.full((44, 44), -4.0, np.float32)
    values[30:] = 9.0
    assert peak_presence(values, letterbox((40, 80), (352, 352))) < 0.05  # the image fills the upper half
    assert peak_presence(values, squash((40, 80), (352, 352))) > 0.95


@pytest.mark.parametrize(
    ("content", "shape"), [((0, 0, 176, 352), (22, 44)), ((8, 16, 40, 80), (5, 10)), ((0, 0, 1, 1), (1, 1))]
)
def test_cells_of_the_image(content: tuple[int, int, int, int], shape: tuple[int, int]) -> None:
    values = logits()
    inside = image_cells(values, Placement((10, 10), (352, 352), content))
    assert inside.shape == shape
    np.testing.assert_array_equal(inside, values[content[0] // 8 :, content[1] // 8 :][: shape[0], : shape[1]])


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8])
def test_a_negative_takes_exactly_the_cells_where_it_is_higher(threshold: float) -> None:
    own, negative = logits(1), logits(2)
    level = np.log(threshold / (1 - threshold))
    lowered = suppress(own, negative, threshold=threshold)
    np.testing.assert_array_equal(lowered > level, (own > level) & (own > negative))
    assert (lowered <= own).all()


def test_a_threshold_of_its_own_ignores_padding_and_what_negatives_take() -> None:
    values, negative = logits(3), logits(4)
    placement = letterbox((40, 80), (352, 352))
    assert own_threshold(values, placement) == best_threshold(values[:22])
    left = np.where(values > negative, values, -np.inf).astype(np.float32)
    assert own_threshold(values, placement, negative=negative) == best_threshold(left[:22])


def test_negatives_of_each_type_of_prompt() -> None:
    text = TextPrompt("eye", negatives=("eyebrow", "hair"))
    assert negatives_of(text) == ("eyebrow", "hair")
    assert negatives_of(MixedPrompt(text, VisualPrompt(scene()))) == ("eyebrow", "hair")
    assert negatives_of(VisualPrompt(scene())) == ()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "high", None])
def test_what_is_no_probability(value: object) -> None:
    with pytest.raises(PromptError, match=r"the presence threshold .*pass for example presence_threshold=0\.5"):
        checked_probability(value, "presence_threshold")


def test_numbers_that_are_probabilities() -> None:
    assert [checked_probability(value, "threshold") for value in (0, 1, "0.25", np.float32(0.5))] == [0, 1, 0.25, 0.5]
