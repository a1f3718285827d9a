"""Distinguishable colours, in a fixed order."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour: TypeAlias = "tuple[int, int, int]"
"""RGB, 0 to 255."""

INK: Colour = (17, 20, 24)
PAPER: Colour = (255, 255, 255)

# OKLab (B. Ottosson, 2020): distances in it follow what the eye sees. Matrices from its published definition.
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@lru_cache(maxsize=8)
def palette(count: int) -> tuple[Colour, ...]:
    """Return `count` vivid colours; a longer palette begins with the shorter one.

    Each colour is the candidate farthest, in OKLab, from all before it: the first ones are as different as colours
    can be, later ones as different as there is still room for. All of them carry dark text (`INK`) legibly.
    """
    rgb, lab = _candidates()
    chosen = [int(np.argmin(np.linalg.norm(rgb - _FIRST, axis=1)))]
    gap = np.linalg.norm(lab - lab[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    red_green_blue = rgb[chosen[:count]].round().astype(int).tolist()
    return tuple((red, green, blue) for red, green, blue in red_green_blue)


_FIRST = np.array([64.0, 140.0, 255.0])  # azure: rare in skin, fur, wood, leaves and walls


def _candidates() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return RGB `(N, 3)` and OKLab `(N, 3)` of colours that are neither dull nor glaring, dark nor pale."""
    steps = np.linspace(0, 255, 24)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_oklab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    vivid = (chroma > 0.12) & (chroma < 0.19) & (lab[:, 0] > 0.64) & (lab[:, 0] < 0.86)
    return rgb[vivid], lab[vivid]


def to_oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return OKLab `(N, 3)` of sRGB `(N, 3)` in 0 to 255."""
    unit = rgb / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab
