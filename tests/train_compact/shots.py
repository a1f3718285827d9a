"""Pictures to train on, made for tests."""

from __future__ import annotations

from typing import Any

import numpy as np


def square(pictures: Any, source: str, value: int, name: str, **more: Any) -> Any:
    """A picture of 64 x 64 pixels of colour 10 * value with a square of 20 labelled in its middle, brighter."""
    labels = np.zeros((64, 64), np.uint8)
    labels[22:42, 22:42] = value
    pixels = np.full((64, 64, 3), 10 * value, np.uint8)
    pixels[labels > 0] = 100 + value
    return pictures.Shot(source, "a", pixels, labels, {value: name}, more.pop("exhaustive", False), **more)
