"""The values that travel between rooms."""

from __future__ import annotations

import pytest

from wordmask.contracts import Encoded
from wordmask.errors import ImageError
from wordmask.ops.geometry import squash


def test_encoded_belongs_to_its_model() -> None:
    encoded = Encoded((3, 4), squash((3, 4), (8, 8)), features=None, image=None, model="clipseg")
    encoded.require("clipseg")
    with pytest.raises(ImageError, match=r"encoded by 'clipseg', expected one encoded by 'compact'"):
        encoded.require("compact")
