"""Parts of dense masks with their scores, which are interpolated once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segmentations import found
from wordmask.ops import masks
from wordmask.ops.crops import CropView
from wordmask.ops.geometry import letterbox
from wordmask.results import MIN_AREA_RATIO, MaskLogits, mask_logits
from wordmask.results.refined_logits import FinePatch, RefinedLogits

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACEMENT = letterbox((90, 131), (80, 120))


def _noise(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(scale=3, size=(20, 30)).astype(np.float32)
    return values.repeat(2, axis=0).repeat(2, axis=1)


def _maps() -> list[MaskLogits]:
    patch = FinePatch(np.full((8, 10), 2, np.float32), CropView(20, 30, 0.25, (8, 10)), (22, 31, 55, 60))
    return [MaskLogits(_noise(1), PLACEMENT), RefinedLogits(_noise(2), PLACEMENT, (patch,))]


@pytest.mark.parametrize("kept", [0, mask_logits.KEPT_PIXELS])
@pytest.mark.parametrize("number", [0, 1])
def test_parts_are_components_with_mean_probabilities(number: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_logits, "KEPT_PIXELS", kept)
    logits = _maps()[number]
    mask, parts = logits.parts(0.4, min_area_ratio=MIN_AREA_RATIO)
    expected = logits.packed(0.4)
    np.testing.assert_array_equal(mask.full(), expected.full())
    assert (mask.window, mask.area) == (expected.window, expected.area)
    alone = masks.components(expected, min_area_ratio=MIN_AREA_RATIO)
    assert [part.window for part, _ in parts] == [part.window for part in alone]
    assert len(parts) > 1
    for (part, score), same in zip(parts, alone, strict=True):
        np.testing.assert_array_equal(part.full(), same.full())
        assert score == logits.mean_probability(same)  # bit for bit
        assert score == pytest.approx(logits.probabilities()[part.full()].mean(dtype=np.float64), abs=1e-6)


def test_a_map_below_the_threshold_has_no_parts() -> None:
    mask, parts = MaskLogits(np.full((20, 30), -9, np.float32), PLACEMENT).parts(0.5, min_area_ratio=0.0)
    assert (mask.area, parts) == (0, ())
    assert mask.size == PLACEMENT.size


def test_instances_leave_the_mask_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, expected = (found("x", _noise(3), placement=PLACEMENT) for _ in range(2))
    whole = expected.packed
    assert answer.instances
    monkeypatch.setattr(MaskLogits, "packed", None)  # not called any more
    np.testing.assert_array_equal(answer.packed.full(), whole.full())
    first = expected.instances[0]
    assert (answer.instances[0].area, answer.instances[0].score) == (first.area, first.score)
