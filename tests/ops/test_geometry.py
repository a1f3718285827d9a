"""Placement and the way back, against torch's interpolation and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wordmask.ops import geometry
from wordmask.ops.geometry import Placement, letterbox, reach, restore, restore_window, squash

SIZES = [(1, 1), (1, 5000), (5000, 1), (7, 5), (88, 88), (89, 87), (352, 352), (480, 641)]


def _torch(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate in float64: torch's own float32 coordinates are the less exact ones."""
    tensor = torch.from_numpy(values).double()[None, None]
    return torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).normal(scale=3, size=(height, width)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cells", [(1, 1), (22, 22), (88, 88), (352, 352), (30, 44)])
def test_squash_equals_torch(size: tuple[int, int], cells: tuple[int, int]) -> None:
    values = _noise(*cells)
    restored = restore(values, squash(size, (352, 352)))
    assert restored.dtype == np.float32
    assert restored.shape == size
    np.testing.assert_allclose(restored, _torch(values, size), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "content"),
    [
        ((300, 400), (264, 352)),
        ((400, 300), (352, 264)),
        ((10, 5000), (1, 352)),
        ((1, 1), (352, 352)),
        ((352, 352), (352, 352)),
    ],
)
def test_letterbox_keeps_the_aspect_at_the_top_left(size: tuple[int, int], content: tuple[int, int]) -> None:
    assert letterbox(size, (352, 352)) == Placement(size, (352, 352), (0, 0, *content))


def test_letterbox_on_a_rectangular_canvas() -> None:
    assert letterbox((100, 100), (256, 384)).content == (0, 0, 256, 256)
    assert letterbox((100, 400), (256, 384)).content == (0, 0, 96, 384)


def test_letterbox_with_whole_cells_equals_torch_on_the_cropped_region() -> None:
    values = _noise(88, 88)
    placement = letterbox((300, 400), (352, 352))  # 264 rows of canvas: 66 of the 88 rows of cells
    np.testing.assert_allclose(restore(values, placement), _torch(values[:66], (300, 400)), atol=1e-5)


@pytest.mark.parametrize("size", [(300, 401), (199, 64), (333, 500), (1000, 7)])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_a_linear_ramp_survives_any_placement(size: tuple[int, int], stride: int) -> None:
    """A map that holds each cell's own position must come back as the pixels' positions, fractional cells or not."""
    placement = letterbox(size, (352, 352))
    top, left, height, width = placement.content
    centres = (np.arange(352 // stride, dtype=np.float32) + 0.5) * stride
    for axis, (pixels, start, length) in enumerate([(size[0], top, height), (size[1], left, width)]):
        ramp = np.broadcast_to(centres[:, None] if axis == 0 else centres, (352 // stride,) * 2)
        line = restore(np.ascontiguousarray(ramp), placement).take(0, axis=1 - axis)
        expected = start + (np.arange(pixels) + 0.5) * length / pixels
        last = centres[min(int(np.ceil((start + length) / stride)), len(centres)) - 1]
        np.testing.assert_allclose(line, expected.clip(centres[start // stride], last), atol=2e-3)


def test_padding_is_never_read() -> None:
    values = np.zeros((88, 88), dtype=np.float32)
    values[66:] = np.nan
    assert np.isfinite(restore(values, letterbox((300, 400), (352, 352)))).all()


def test_content_away_from_the_corner() -> None:
    values = _noise(40, 50)
    placement = Placement((60, 90), (80, 100), (20, 10, 40, 60))  # cells of 2 x 2: rows 10 to 30, columns 5 to 35
    np.testing.assert_allclose(restore(values, placement), _torch(values[10:30, 5:35], (60, 90)), atol=1e-5)


def test_a_window_equals_the_whole_bit_for_bit() -> None:
    values, placement = _noise(22, 22), letterbox((111, 173), (352, 352))
    whole = restore(values, placement)
    rng = np.random.default_rng(1)
    for _ in range(50):
        x0, x1 = sorted(rng.choice(174, 2, replace=False).tolist())
        y0, y1 = sorted(rng.choice(112, 2, replace=False).tolist())
        np.testing.assert_array_equal(restore_window(values, placement, (x0, y0, x1, y1)), whole[y0:y1, x0:x1])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_strips_and_one_piece_are_the_formula_bit_for_bit(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    values: np.ndarray = _noise(22, 30).astype(kind)
    placement, window = letterbox((111, 173), (176, 240)), (7, 3, 170, 101)
    rows, columns = (
        one.part(*ends) for one, ends in zip(geometry.axes(placement, (22, 30)), ((3, 101), (7, 170)), strict=True)
    )
    left = values[:, columns.first].astype(np.float32)
    wide = left + (values[:, columns.second] - left) * columns.weight
    expected = wide[rows.first] + rows.weight[:, None] * (wide[rows.second] - wide[rows.first])
    whole = restore_window(values, placement, window)
    monkeypatch.setattr(geometry, "WHOLE_PIXELS", 0)
    for got in (whole, restore_window(values, placement, window)):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_reach_holds_every_pixel_above_and_is_tight() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        size = (int(rng.integers(1, 200)), int(rng.integers(1, 200)))
        placement = letterbox(size, (64, 96))
        values = rng.normal(size=(16, 24)).astype(np.float32)
        level = float(rng.uniform(0.5, 3))
        above = restore(values, placement) > level
        window = reach(values > level, placement)
        if window is None:
            assert not above.any()
        else:
            x0, y0, x1, y1 = window
            assert above[y0:y1, x0:x1].sum() == above.sum()
    assert reach(np.zeros((16, 24), dtype=bool), placement) is None


def test_reach_of_one_cell() -> None:
    cells = np.zeros((10, 10), dtype=bool)
    cells[4, 7] = True  # pixels 40 to 50, 70 to 80 of 100, plus one cell's reach to either side of its centre
    assert reach(cells, squash((100, 100), (40, 40))) == (65, 35, 85, 55)
