"""Encoded masks read back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from wordmask.formats.png import encode_png


@pytest.mark.parametrize("filled", [0, 12])
def test_a_mask_is_greyscale_of_two_values(filled: int) -> None:
    mask = np.zeros((30, 40), dtype=np.bool_)
    mask[4 : 4 + filled, 5:15] = True
    with Image.open(io.BytesIO(encode_png(mask))) as image:
        assert (image.mode, image.size) == ("L", (40, 30))
        np.testing.assert_array_equal(np.asarray(image), mask * 255.0)
