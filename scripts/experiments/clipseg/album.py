"""Regions of pictures with what is in them: what the towers are trained on.

A region is a box around one named thing, or a whole picture. Boxes are taken around the connected parts of labelled
masks; the masks themselves go no further, so the towers never see one (CLIP saw none either, but it saw whole
pictures with captions, of which there are too few here).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.experiments.clipseg.pooling import phrase
from wordmask.data.plain import plain
from wordmask.formats.files import write
from wordmask.images import load_image
from wordmask.metrics.mirror import swap_sides
from wordmask.ops.masks import components
from wordmask.ops.resize import resize
from wordmask.train.views import cut_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.contracts import Dataset

SETS = (
    "coco", "pascal", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "people", "objects",
)  # fmt: skip
LONGEST = 288
"""Longer side of the pictures as they are kept, in pixels."""
SMALLEST = 0.02
"""Shorter side of a box, as a share of the picture's shorter side, below which it shows nothing."""
PARTS = 3
"""Connected parts of one name in one picture that get a box of their own."""
WHOLE = 0.3
"""Share of the views that show whole pictures."""
MAIN = 0.7
"""Share of the target that goes to the thing a box was put around; the rest goes to what else is seen in it."""
SEEN = 0.5
"""Share of a box that must lie in a view for its name to count as seen."""
FILL = (124, 116, 104)
"""ImageNet's mean colour, for what lies outside a picture."""

Box = tuple[int, int, int, int]
"""XYXY in pixels, ends exclusive."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture.

    Attributes:
        source: Its set.
        pixels: uint8 `(H, W, 3)`.
        names: Position of each box's name among the album's.
        boxes: As many boxes.
    """

    source: str
    pixels: NDArray[np.uint8]
    names: tuple[int, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class Album:
    """Pictures with boxes.

    Attributes:
        names: Phrases.
        shots: The pictures.
    """

    names: tuple[str, ...]
    shots: tuple[Shot, ...]

    def counts(self) -> NDArray[np.int64]:
        """Return how many pictures have each name, `(V,)`."""
        found = np.zeros(len(self.names), np.int64)
        for shot in self.shots:
            found[list(set(shot.names))] += 1
        return found

    def among(self, source: str) -> NDArray[np.bool_]:
        """Return which names a set has, bool `(V,)`."""
        found = np.zeros(len(self.names), np.bool_)
        for shot in self.shots:
            if shot.source == source:
                found[list(shot.names)] = True
        return found


def read_album(data: Path, split: str, cache: Path, *, sets: Sequence[str] = SETS, longest: int = LONGEST) -> Album:
    """Read pictures and boxes of several sets, from the cache where they are there."""
    names: list[str] = []
    shots: list[Shot] = []
    for source in sets:
        stem = cache / f"{source}-{split}-{longest}"
        if not stem.with_suffix(".json").is_file():
            _keep(plain(data / source, split), stem, longest)
        records = json.loads(stem.with_suffix(".json").read_bytes())
        pixels, at = np.load(stem.with_suffix(".npy"), mmap_mode="r"), 0
        for record in records:
            height, width = record["size"]
            names += [name for name in dict.fromkeys(record["names"]) if name not in names]
            numbers = tuple(names.index(name) for name in record["names"])
            picture = pixels[at : at + height * width * 3].reshape(height, width, 3)
            shots.append(Shot(source, picture, numbers, tuple(tuple(box) for box in record["boxes"])))
            at += height * width * 3
    return Album(tuple(names), tuple(shots))


def _keep(dataset: Dataset, stem: Path, longest: int) -> None:
    """Write a set's pictures, smaller, and its boxes."""
    records, flat = [], []
    for index in range(len(dataset)):
        sample = dataset[index]
        found = [(phrase(query.label), box) for query in sample.queries for box in boxes(query.packed, sample.size)]
        if not found:
            continue
        scale = min(1.0, longest / max(sample.size))
        size = (max(1, round(sample.size[0] * scale)), max(1, round(sample.size[1] * scale)))
        flat.append(resize(load_image(sample.image).pixels, size).ravel())
        scaled = [[round(value * scale) for value in box] for _, box in found]
        records.append({"size": size, "names": [name for name, _ in found], "boxes": scaled})
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate(flat))
    write(stem.with_suffix(".npy"), buffer.getvalue())
    write(stem.with_suffix(".json"), json.dumps(records).encode())  # last: its presence says that both are there


def boxes(mask: Any, size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
    """Return the boxes of a packed mask's largest connected parts, those too small to show anything left out."""
    least = SMALLEST * min(size)
    found = (part.box for part in components(mask)[:PARTS])
    return [box for box in found if box is not None and min(box[2] - box[0], box[3] - box[1]) >= least]


class Draws:
    """Views of an album, drawn by seed and number.

    Args:
        album: The pictures.
        seed: Of all draws.
        augment: Whether views are mirrored and recoloured, and boxes moved at random.
    """

    def __init__(self, album: Album, *, seed: int, augment: bool = True) -> None:
        self.album, self.seed, self.augment = album, seed, augment
        sources = [shot.source for shot in album.shots]
        sizes = {source: sources.count(source) for source in sources}
        odds = np.array([sizes[source] ** -0.5 for source in sources])  # a set's share grows with the root of its size
        self._odds = np.cumsum(odds / odds.sum())
        self._rarity = (np.maximum(album.counts(), 1) / len(album.shots)) ** -0.5
        swapped = [swap_sides(name) for name in album.names]
        self._mirrored = np.array([album.names.index(name) if name in album.names else -1 for name in swapped])

    def batch(self, number: int, count: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return uint8 pixels `(B, side, side, 3)` and targets `(B, V)`, each a distribution over the names."""
        random = np.random.default_rng([self.seed, number])
        drawn = [self.view(random, side) for _ in range(count)]
        return np.stack([pixels for pixels, _ in drawn]), np.stack([target for _, target in drawn])

    def view(self, random: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw a picture, then a region of it."""
        place = int(np.searchsorted(self._odds, random.random()))
        shot = self.album.shots[min(place, len(self.album.shots) - 1)]
        height, width = shot.pixels.shape[:2]
        main = None
        if random.random() < WHOLE:
            window = _part((0, 0, width, height), random.uniform(0.7, 1.0), random)
        else:
            odds = self._rarity[list(shot.names)]
            main = int(random.choice(len(shot.boxes), p=odds / odds.sum()))
            window = widened(shot.boxes[main], float(random.uniform(0.05, 0.4)), square=random.random() < 0.7)
        target = seen(shot, window, len(self.album.names), main)
        top, left, rows, columns = window[1], window[0], window[3] - window[1], window[2] - window[0]
        pixels = cut_window(np.asarray(shot.pixels), (top, left, rows, columns), (side, side), FILL)
        return self._augmented(pixels, target, random) if self.augment else (pixels, target)

    def _augmented(
        self, pixels: NDArray[np.uint8], target: NDArray[np.float32], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        named = np.flatnonzero(target)
        if random.random() < 0.5 and (self._mirrored[named] >= 0).all():  # "left" has become "right"
            pixels, turned = pixels[:, ::-1], np.zeros_like(target)
            turned[self._mirrored[named]] = target[named]
            target = turned
        brightness, contrast = (float(random.uniform(0.7, 1.3)) for _ in range(2))
        values = (pixels.astype(np.float32) - 128) * contrast + 128 * brightness
        return np.clip(values, 0, 255).astype(np.uint8), target


def seen(shot: Shot, window: Box, count: int, main: int | None) -> NDArray[np.float32]:
    """Return what a window shows, as a distribution over the names, float32 `(V,)`.

    Args:
        shot: The picture.
        window: XYXY; it may reach beyond the picture.
        count: Number of names V.
        main: The box that the window was put around; None for a whole picture.
    """
    weights = np.zeros(count, np.float32)
    for name, box in zip(shot.names, shot.boxes, strict=True):
        inside = area((max(box[0], window[0]), max(box[1], window[1]), min(box[2], window[2]), min(box[3], window[3])))
        if inside >= SEEN * area(box):
            weights[name] = max(weights[name], (inside / max(area(window), 1)) ** 0.5)
    if main is not None:
        others = weights.copy()
        others[shot.names[main]] = 0
        weights = others * ((1 - MAIN) / others.sum()) if others.any() else others
        weights[shot.names[main]] = MAIN if others.any() else 1
    elif not weights.any():
        weights[list(shot.names)] = 1
    return np.asarray(weights / weights.sum(), np.float32)


def area(box: Box) -> int:
    """Return the pixels in a box; 0 where it ends before it begins."""
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def widened(box: Box, context: float, *, square: bool) -> Box:
    """Return a box moved outwards by a share of its extent, made square around its centre if wanted."""
    width, height = (box[2] - box[0]) * (1 + 2 * context), (box[3] - box[1]) * (1 + 2 * context)
    if square:
        width = height = max(width, height)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = round(x - width / 2), round(y - height / 2)
    return left, top, left + max(1, round(width)), top + max(1, round(height))


def _part(box: Box, share: float, random: np.random.Generator) -> Box:
    """A box of the same proportions at a random place inside another."""
    width, height = (max(1, round((box[end] - box[end - 2]) * share)) for end in (2, 3))
    left = int(random.integers(box[0], box[2] - width + 1))
    top = int(random.integers(box[1], box[3] - height + 1))
    return left, top, left + width, top + height
