"""Images on canvases."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wordmask.ops.geometry import Placement, letterbox, squash
from wordmask.ops.resize import normalised, place, resize


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "code"), [("nearest", 0), ("bilinear", 2), ("bicubic", 3)])
def test_equals_pillow(name: str, code: int) -> None:
    pixels = _image(31, 47)
    expected = np.asarray(Image.fromarray(pixels).resize((20, 60), Image.Resampling(code)))
    np.testing.assert_array_equal(resize(pixels, (60, 20), resample=name), expected)  # type: ignore[arg-type]


def test_shrinking_does_not_alias() -> None:
    """A fine chessboard becomes grey, not a coarse chessboard."""
    y, x = np.mgrid[0:256, 0:256]
    board = np.repeat((((y + x) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    small = resize(board, (25, 25))
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_nothing_to_do() -> None:
    pixels = _image(5, 6)
    assert resize(pixels, (5, 6)) is pixels


def test_views_are_accepted() -> None:
    pixels = _image(20, 30)
    np.testing.assert_array_equal(resize(pixels[:, ::-1], (10, 10)), resize(pixels[:, ::-1].copy(), (10, 10)))


def test_squash_fills_the_canvas() -> None:
    pixels = _image(20, 30)
    np.testing.assert_array_equal(place(pixels, squash((20, 30), (16, 8))), resize(pixels, (16, 8)))


def test_letterbox_pads_below_and_right() -> None:
    pixels = _image(20, 40)
    canvas = place(pixels, letterbox((20, 40), (32, 32)), fill=(1, 2, 3))
    np.testing.assert_array_equal(canvas[:16], resize(pixels, (16, 32)))
    assert (canvas[16:] == (1, 2, 3)).all()


def test_content_anywhere() -> None:
    pixels = _image(4, 4)
    canvas = place(pixels, Placement((4, 4), (10, 12), (3, 5, 4, 4)))
    np.testing.assert_array_equal(canvas[3:7, 5:9], pixels)
    assert canvas.sum() == pixels.sum()


def test_normalised_values_are_those_of_the_formula() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (pixels * np.float32(1 / 255) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    found = normalised(pixels, mean, std)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert np.array_equal(normalised(pixels[:, ::2], mean, std), expected[:, ::2])  # not contiguous
