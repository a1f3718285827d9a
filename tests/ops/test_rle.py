"""Run lengths, byte for byte against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco
from scipy import ndimage

from wordmask.errors import ImageError
from wordmask.ops import masks, rle


def _reference(mask: np.ndarray) -> str:
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def _check(mask: np.ndarray) -> None:
    expected = {"size": list(mask.shape), "counts": _reference(mask)}
    assert rle.encode(mask) == expected
    assert rle.encode_packed(masks.pack(mask)) == expected
    np.testing.assert_array_equal(rle.decode(rle.encode(mask)), mask)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 9), (31, 33), (64, 200)])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_noise(size: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        _check(rng.random(size) < share)


@pytest.mark.parametrize("seed", range(8))
def test_blobs(seed: int) -> None:
    _check(ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(300, 500)), 8) > 0.01)


def test_runs_that_continue_in_the_next_column() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[:, 5:9] = True
    _check(mask)
    mask[12:, 4] = mask[:3, 9] = True
    _check(mask)
    mask[5, 6] = False
    _check(mask)


def test_long_runs_need_many_groups() -> None:
    mask = np.zeros((4000, 3000), dtype=bool)
    mask[7, 1], mask[3990, 2990], mask[1, 2999] = True, True, True
    assert rle.encode(mask)["counts"] == _reference(mask)


def test_counts_by_hand() -> None:
    mask = np.array([[0, 1, 1], [1, 1, 0]], dtype=bool)  # by columns: 0 1 1 1 1 0
    assert rle.decompress(rle.encode(mask)["counts"]).tolist() == [1, 4, 1]
    assert rle.encode(mask)["counts"] == "141"


@pytest.mark.parametrize("seed", range(5))
def test_compression_of_any_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = (2 ** rng.uniform(0, 30, 300)).astype(np.int64)
    np.testing.assert_array_equal(rle.decompress(rle.compress(counts)), counts)


@pytest.mark.parametrize("counts", ["", "14", "1Q", "~~~", "14é", "141" * 9, "PPPPPPPPPPPP0", "n1"])
def test_damaged_strings(counts: str) -> None:
    with pytest.raises(ImageError, match=r"run lengths"):
        rle.decode({"size": [2, 3], "counts": counts})
