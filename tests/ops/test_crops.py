"""Cutting rectangles out of images and maps, and reading maps over a rectangle at the image's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.ops.crops import CropView, cut, view_axes
from wordmask.ops.geometry import interpolated_strips


def _values(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width)).astype(np.float32)


def test_a_view_at_the_image_s_own_scale_is_a_slice() -> None:
    values = _values(40, 60)
    part = cut(values, CropView(5, 7, 1.0, (20, 24)), (40, 60))
    np.testing.assert_allclose(part, values[7:27, 5:29], atol=1e-6)


def test_what_lies_outside_the_image_is_filled() -> None:
    values = _values(40, 60)
    part = cut(values, CropView(-5, -7, 1.0, (20, 24)), (40, 60), fill=-3.0)
    np.testing.assert_allclose(part[7:, 5:], values[:13, :19], atol=1e-6)
    assert (part[:6] == -3).all()
    assert (cut(values, CropView(100, 100, 1.0, (4, 4)), (40, 60), fill=-3.0) == -3).all()


@pytest.mark.parametrize("scale", [0.15, 0.4, 1.0, 2.5])
def test_coordinates_are_kept_at_every_scale_and_stride(scale: float) -> None:
    """A map of its own x coordinate is read back as x, for maps at strides 1 and 4."""
    for stride in (1, 4):
        centres = (np.arange(600 // stride) + 0.5) * stride
        ramp = np.tile(centres.astype(np.float32), (400 // stride, 1))
        view = CropView(81.3, 90, scale, (24, 32))
        expected = 81.3 + (np.arange(32) + 0.5) / scale
        found = cut(ramp, view, (400, 600))[12]
        np.testing.assert_allclose(found, expected, atol=0.12)  # OpenCV 4.11 reads at coarser fractions of a pixel


def test_a_map_over_a_view_is_read_at_the_pixels_of_its_window() -> None:
    """Crop, then paste: coordinates come back within a tenth of a pixel, at the image's border too."""
    ramp = np.tile((np.arange(60) + 0.5).astype(np.float32), (40, 1))
    for left in (-3.0, 4.5, 40.0):
        view = CropView(left, 6, 2.0, (32, 48))
        x0, y0, x1, y1 = window = view.window((40, 60))
        crop = cut(ramp, view, (40, 60), fill=np.nan)
        pasted = np.vstack([strip for _, strip in interpolated_strips(crop, *view_axes(view, window))])
        assert pasted.shape == (y1 - y0, x1 - x0)
        inner = slice(1, -1)  # a border pixel may read the filling
        np.testing.assert_allclose(pasted[8][inner], (np.arange(x0, x1) + 0.5)[inner], atol=0.1)
