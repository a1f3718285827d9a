"""Draw scenes of coloured shapes, anti-aliased, with the owner of every pixel.

A shape covers a pixel by the fraction of 4 x 4 points in it that lie inside the shape, computed from its equation, so
that the ground truth does not depend on a rasteriser. Colours are mixed by that fraction; a pixel belongs to the
foremost shape that covers more than half of it, so the masks of a scene never overlap and exclude what is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size, Window

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (208, 36, 40),
    "orange": (250, 136, 20),
    "yellow": (246, 218, 48),
    "green": (44, 150, 60),
    "blue": (34, 88, 200),
    "purple": (122, 54, 160),
    "pink": (238, 132, 186),
    "black": (26, 26, 28),
}
"""Names of colours and their RGB; far enough apart that the jitter of a shape never leads from one to another."""

SIZES: Mapping[str, tuple[float, float]] = {"small": (0.06, 0.08), "large": (0.13, 0.17)}
"""Range of the outer radius by the word for it, as a fraction of the image's shorter side."""

GROUND = -1
"""The value in `Scene.owner` of pixels that belong to no shape."""

SHOWN = 0.6
"""Least fraction of a shape that stays visible behind those in front of it."""

_GROUNDS = ((226, 224, 218), (214, 222, 228), (232, 220, 200), (206, 214, 204), (196, 196, 202))
_POINTS = 4  # a pixel's side is looked at this many times
_TRIES = 25
_JITTER = 10  # largest change of a colour channel, 0 to 255


# --- the shapes, in coordinates where the outer radius is 1 and y points down --------------------------------------


def _circle(u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(u * u + v * v <= 1)


def _ring(u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.bool_]:
    distance = u * u + v * v
    return np.asarray((distance <= 1) & (distance >= 0.55**2))


def _square(u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) <= 0.8)


def _cross(u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.bool_]:
    u, v = np.abs(u), np.abs(v)
    return np.asarray((np.minimum(u, v) <= 0.28) & (np.maximum(u, v) <= 0.95))


def _polygon(u: NDArray[Any], v: NDArray[Any], *, radii: tuple[float, ...]) -> NDArray[np.bool_]:
    """Whether points lie in the polygon whose corners stand at equal angles from the top, by the even-odd rule."""
    turns = np.arange(len(radii)) * (2 * np.pi / len(radii))
    x, y = np.asarray(radii) * np.sin(turns), -np.asarray(radii) * np.cos(turns)
    inside = np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=np.bool_)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        if y0 != y1:
            inside ^= ((y0 > v) != (y1 > v)) & (u < (x1 - x0) * (v - y0) / (y1 - y0) + x0)
    return inside


KINDS: Mapping[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]]] = {
    "circle": _circle,
    "square": _square,
    "triangle": partial(_polygon, radii=(1.0, 1.0, 1.0)),
    "star": partial(_polygon, radii=(1.0, 0.45) * 5),
    "ring": _ring,
    "cross": _cross,
}
"""Names of kinds and whether a point `(u, v)` lies in such a shape."""


# --- scenes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """One shape.

    Attributes:
        kind: A name in `KINDS`.
        colour: A name in `COLOURS`; `rgb` is what it is painted with.
        size: A name in `SIZES`.
        centre: `(x, y)` in pixels.
        radius: Of the circle around it, in pixels.
        angle: Turn to the right, in radians.
        rgb: Its colour, 0 to 255.
    """

    kind: str
    colour: str
    size: str
    centre: tuple[float, float]
    radius: float
    angle: float
    rgb: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and everything that is true of it.

    Attributes:
        pixels: uint8 `(H, W, 3)`, read-only.
        owner: int32 `(H, W)`: position in `shapes` of what is seen there, `GROUND` where there is none.
        shapes: The shapes, from the backmost to the foremost.
    """

    pixels: NDArray[np.uint8]
    owner: NDArray[np.int32]
    shapes: tuple[Shape, ...]


def coverage(shape: Shape, size: Size) -> tuple[Window, NDArray[np.float32]]:
    """Return the window `(x0, y0, x1, y1)` of an image of `size` that a shape reaches, and its coverage of each pixel.

    Returns:
        The window, inside the image, and float32 `(y1 - y0, x1 - x0)` in [0, 1].
    """
    (x, y), radius = shape.centre, shape.radius
    x0, x1 = (int(np.clip(edge, 0, size[1])) for edge in (np.floor(x - radius), np.ceil(x + radius)))
    y0, y1 = (int(np.clip(edge, 0, size[0])) for edge in (np.floor(y - radius), np.ceil(y + radius)))
    across = (x0 - x + (np.arange((x1 - x0) * _POINTS) + 0.5) / _POINTS) / radius
    down = ((y0 - y + (np.arange((y1 - y0) * _POINTS) + 0.5) / _POINTS) / radius)[:, None]
    sine, cosine = np.sin(shape.angle), np.cos(shape.angle)
    inside = KINDS[shape.kind](cosine * across + sine * down, cosine * down - sine * across)
    rows = inside.reshape(y1 - y0, _POINTS, (x1 - x0) * _POINTS).sum(axis=1, dtype=np.uint8)
    counts = rows.reshape(y1 - y0, x1 - x0, _POINTS).sum(axis=2, dtype=np.uint8)
    return (x0, y0, x1, y1), counts / np.float32(_POINTS**2)


def draw_scene(random: np.random.Generator, size: Size, shapes: tuple[int, int]) -> Scene:
    """Make a scene.

    Args:
        random: Where every choice comes from.
        size: `(H, W)`.
        shapes: Least and greatest number of shapes that are tried; one that finds no place is left out.
    """
    pixels, owner = _ground(random, size), np.full(size, GROUND, dtype=np.int32)
    placed: list[Shape] = []
    areas: list[int] = []
    for _ in range(int(random.integers(shapes[0], shapes[1] + 1))):
        attributes = _sample_attributes(random, placed)
        for _ in range(_TRIES):
            shape = _put(random, size, attributes)
            if _has_room(shape, placed) and _paint(shape, pixels, owner, areas):
                placed.append(shape)
                break
    quantised = np.rint(pixels).clip(0, 255).astype(np.uint8)
    quantised.flags.writeable = False
    return Scene(quantised, owner, tuple(placed))


def _ground(random: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """A muted colour, a little brighter on one side, with fine grain: float32 `(H, W, 3)`."""
    colour = np.asarray(_GROUNDS[int(random.integers(len(_GROUNDS)))], dtype=np.float32)
    slope = random.uniform(-12, 12, 2)
    down, across = np.linspace(-1, 1, size[0])[:, None], np.linspace(-1, 1, size[1])
    grain = random.normal(0, 2, size)
    light = (slope[0] * down + slope[1] * across + grain).astype(np.float32)
    return np.asarray(colour + light[..., None], dtype=np.float32)


def _sample_attributes(random: np.random.Generator, placed: list[Shape]) -> tuple[str, str, str]:
    """Draw kind, colour and size; every second shape shares some with an earlier one, or words would be too easy."""
    kind, colour, size = (str(random.choice(list(names))) for names in (KINDS, COLOURS, SIZES))
    if placed and random.random() < 0.5:
        model = placed[int(random.integers(len(placed)))]
        shared = int(random.integers(1, 8))  # a bit each
        kind = model.kind if shared & 1 else kind
        colour = model.colour if shared & 2 else colour
        size = model.size if shared & 4 else size
    return kind, colour, size


def _put(random: np.random.Generator, size: Size, attributes: tuple[str, str, str]) -> Shape:
    kind, colour, word = attributes
    radius = float(random.uniform(*SIZES[word])) * min(size)
    x, y = (float(random.uniform(radius + 1, side - radius - 1)) for side in (size[1], size[0]))
    red, green, blue = (
        int(np.clip(value + random.integers(-_JITTER, _JITTER + 1), 0, 255)) for value in COLOURS[colour]
    )
    return Shape(kind, colour, word, (x, y), radius, float(random.uniform(-0.25, 0.25)), (red, green, blue))


def _has_room(shape: Shape, placed: list[Shape]) -> bool:
    """Whether it overlaps others at their borders only."""
    return all(
        np.hypot(shape.centre[0] - other.centre[0], shape.centre[1] - other.centre[1])
        > 0.65 * (shape.radius + other.radius)
        for other in placed
    )


def _paint(shape: Shape, pixels: NDArray[np.float32], owner: NDArray[np.int32], areas: list[int]) -> bool:
    """Draw a shape in front of all others, or return False and change nothing if it would hide too much.

    `areas` are those of the shapes before it, in pixels and as if nothing hid them; its own is added.
    """
    (x0, y0, x1, y1), covered = coverage(shape, (owner.shape[0], owner.shape[1]))
    window = (slice(y0, y1), slice(x0, x1))
    changed = owner[window].copy()
    changed[covered > 0.5] = len(areas)
    for index in set(owner[window].ravel().tolist()) - {GROUND}:
        lost = np.count_nonzero(owner[window] == index) - np.count_nonzero(changed == index)
        if np.count_nonzero(owner == index) - lost < SHOWN * areas[index]:
            return False
    areas.append(int(np.count_nonzero(covered > 0.5)))
    owner[window] = changed
    pixels[window] += covered[..., None] * (np.asarray(shape.rgb, dtype=np.float32) - pixels[window])
    return True
