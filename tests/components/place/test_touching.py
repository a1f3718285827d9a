"""Separation of instances that touch."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.components.place.touching import split_touching, weaker_parts
from wordmask.ops.geometry import squash
from wordmask.ops.masks import pack
from wordmask.results import MaskLogits

ROWS, COLUMNS = np.mgrid[:100, :200]


def disc(y: int, x: int, radius: int) -> np.ndarray:
    inside: np.ndarray = (ROWS - y) ** 2 + (COLUMNS - x) ** 2 < radius**2
    return inside


def test_two_discs_come_apart_at_their_neck() -> None:
    both = disc(50, 50, 30) | disc(50, 106, 30)
    parts = split_touching(pack(both))
    assert sorted(part.window[0] for part in parts) == pytest.approx([21, 78], abs=2)
    assert np.array_equal(np.logical_or.reduce([part.full() for part in parts]), both)
    assert sum(part.area for part in parts) == both.sum()


def test_compact_shapes_stay_whole() -> None:
    ellipse = (ROWS - 50) ** 2 + (COLUMNS - 100) ** 2 / 4 < 30**2
    assert len(split_touching(pack(ellipse))) == 1
    assert len(split_touching(pack(np.ones((100, 200), dtype=bool)))) == 1
    assert len(split_touching(pack(np.zeros((100, 200), dtype=bool)))) == 1
    assert len(split_touching(pack(disc(50, 50, 2)))) == 1


def test_a_valley_of_the_logits_separates() -> None:
    values = np.full((25, 50), -5.0, dtype=np.float32)
    values[5:20, 5:45] = 3.0
    values[5:20, 23:27] = 0.5  # above the threshold, so that the mask is one part
    heat = MaskLogits(values, squash((100, 200), (100, 200)))
    mask = heat.packed(0.5)
    parts = split_touching(mask, heat)
    assert len(parts) == 2
    assert sorted(part.window[0] for part in parts)[1] == pytest.approx(100, abs=4)


def test_weaker_parts_lie_apart_from_what_was_found() -> None:
    values = np.full((25, 50), -8.0, dtype=np.float32)
    values[5:20, 5:15] = 3.0
    values[5:20, 35:45] = -0.4  # below 0.5, above 0.35
    values[5:20, 15:17] = -0.4  # beside the first
    heat = MaskLogits(values, squash((100, 200), (100, 200)))
    found = heat.packed(0.5)
    (weak,) = weaker_parts(found, heat, threshold=0.35, least=10)
    assert weak.window[0] == pytest.approx(140, abs=3)
    assert weaker_parts(found, heat, threshold=0.35, least=1e6) == ()
