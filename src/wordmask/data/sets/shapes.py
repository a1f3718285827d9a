"""Shapes: generated images of coloured shapes with exact ground truth.

Licence: none needed; nothing is downloaded and nothing is read. Size: as many images as asked for, in no memory.
Layout: no files. What it is for: tests, tutorials and checks of a protocol on data whose ground truth is exact. A
score on it says nothing about photographs.

Every image holds some circles, squares, triangles, stars, rings and crosses in eight colours and two sizes, some
partly behind others; the ground truth is what is visible. It is asked for by

    kinds        "circle": all circles; the vocabulary, `Sample.labels` gives every pixel its kind
    phrases      "red circle", "small red circle": all that fit
    expressions  "the small red circle left of the blue square", "the leftmost star": exactly one fits, beyond doubt
    absent       "green star" where there is none: the true mask is empty

The ground truth is exhaustive: a phrase's mask holds everything in the image that it names.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.reading import fingerprint, require_index
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.data.sets.shapes_scene import COLOURS, KINDS, Scene, draw_scene
from wordmask.data.sets.shapes_words import Description, caption, descriptions, expressions
from wordmask.errors import DataError, quote, sentence
from wordmask.images import RgbImage
from wordmask.ops.masks import empty, pack, union
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from wordmask.ops.geometry import Size

__all__ = ["Shapes"]

ASKED = ("kinds", "phrases", "expressions", "absent")
"""What an image can be asked for."""

BACKGROUND = "background"
LEAST_SIDE = 48
"""Pixels of the shorter side below which small stars and circles look alike."""

_RECIPE = 1  # to be counted up when the same seed would give other images


class Shapes:
    """Images of shapes; sample `i` depends on the seed and `i` alone and is made without those before it.

    Attributes:
        names: "background" and the kinds.
    """

    name = "shapes"
    exhaustive = True
    names: tuple[str, ...] = (BACKGROUND, *KINDS)

    def __init__(
        self,
        count: int = 100,
        *,
        seed: int = 0,
        size: Size = (256, 256),
        shapes: tuple[int, int] = (3, 7),
        ask: Collection[str] = ASKED,
        expressions: int = 4,
        absent: int = 2,
    ) -> None:
        """Choose the images; none is made yet.

        Args:
            count: Number of images.
            seed: Which images, 0 or more.
            size: `(H, W)` in pixels.
            shapes: Least and greatest number of shapes in an image.
            ask: Some of "kinds", "phrases", "expressions" and "absent".
            expressions: Greatest number of referring expressions for an image.
            absent: Number of phrases for an image that name nothing in it.

        Raises:
            DataError: If a number is out of range or `ask` names something else.
        """
        _check(count, seed, size, shapes, expressions, absent)
        unknown = [part for part in ask if part not in ASKED]
        if unknown:
            remedy = "leave out what is not wanted"
            raise DataError(sentence(f"ask={quote(unknown[0])}", f"some of {', '.join(ASKED)}", remedy))
        self.seed = seed
        self.size = size
        self.split = f"seed-{seed}"
        self._count = count
        self._shapes = shapes
        self._ask = tuple(part for part in ASKED if part in ask)
        self._expressions = expressions
        self._absent = absent

    @property
    def fingerprint(self) -> str:
        """Short hash of the options; data made in memory depend on nothing else."""
        numbers = [self._count, self.seed, *self.size, *self._shapes, self._expressions, self._absent]
        return fingerprint((), recipe=_RECIPE, numbers=numbers, ask=self._ask)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Make a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        scene, random = self._made(index)
        key = f"shapes-{self.seed}-{index}"
        asked = [query for part in self._ask for query in self._queries(part)(scene, random, key)]
        present = {shape.kind for shape in scene.shapes}
        return Sample(
            key=key,
            image=RgbImage(scene.pixels, f"{key}.png"),
            size=self.size,
            queries=tuple(asked),
            absent=tuple(kind for kind in KINDS if kind not in present),
            labels=_labels(scene),
        )

    def scene(self, index: int) -> Scene:
        """Return the shapes of an image, for those who want to ask something else about it.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        return self._made(index)[0]

    def caption(self, index: int) -> str:
        """Return a true sentence about the whole image.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        return caption(self.scene(index).shapes, min(self.size))

    def _made(self, index: int) -> tuple[Scene, np.random.Generator]:
        random = np.random.default_rng([self.seed, require_index(index, self._count)])
        scene = draw_scene(random, self.size, self._shapes)
        return scene, np.random.default_rng([self.seed, index, 1])  # words do not depend on how images are drawn

    def _queries(self, part: str) -> Callable[[Scene, np.random.Generator, str], list[Query]]:
        makers: Mapping[str, Callable[[Scene, np.random.Generator, str], list[Query]]] = {
            "kinds": lambda scene, random, key: _about(scene, [Description(kind) for kind in KINDS]),
            "phrases": lambda scene, random, key: _about(scene, _phrases(scene)),
            "expressions": self._expression_queries,
            "absent": self._absent_queries,
        }
        return makers[part]

    def _expression_queries(self, scene: Scene, random: np.random.Generator, key: str) -> list[Query]:
        known = expressions(scene.shapes, min(self.size))
        order = random.permutation(len(known))[: self._expressions]
        return [
            _query(scene, known[place][0], [known[place][1]], f"{key}/{number}")
            for number, place in enumerate(order.tolist())
        ]

    def _absent_queries(self, scene: Scene, random: np.random.Generator, key: str) -> list[Query]:
        """Phrases that nothing fits, first those whose colour and kind are both there, but on different shapes."""
        kinds, colours = ({getattr(shape, part) for shape in scene.shapes} for part in ("kind", "colour"))
        missing = [
            words
            for words in (Description(kind, colour) for kind, colour in itertools.product(KINDS, COLOURS))
            if not any(words.fits(shape) for shape in scene.shapes)
        ]
        order = random.permutation(len(missing)).tolist()
        order.sort(key=lambda place: -(missing[place].kind in kinds) - (missing[place].colour in colours))
        chosen = [str(missing[place]) for place in order[: self._absent]]
        return [Query(TextPrompt(words), empty(self.size), words) for words in chosen]


def _about(scene: Scene, wanted: list[Description]) -> list[Query]:
    """Ask for each description that fits something; the ground truth is all that it fits."""
    asked = []
    for words in wanted:
        fitting = [index for index, shape in enumerate(scene.shapes) if words.fits(shape)]
        if fitting:
            asked.append(_query(scene, str(words), fitting, str(words)))
    return asked


def _query(scene: Scene, phrase: str, fitting: list[int], label: str) -> Query:
    """Return the query for the shapes at some positions, visible pixels only; hidden shapes are no instances."""
    parts = [pack(scene.owner == index) for index in fitting]
    instances = tuple(GroundTruthInstance.of_mask(part) for part in parts if part.area)
    return Query(TextPrompt(phrase), union(parts), label, instances)


def _phrases(scene: Scene) -> list[Description]:
    """Colour and kind of every shape; with its size, too, where that tells it from another."""
    plain = dict.fromkeys(descriptions(shape)[1] for shape in scene.shapes)
    sized = dict.fromkeys(
        descriptions(shape)[3]
        for shape in scene.shapes
        if any(descriptions(shape)[1].fits(other) and other.size != shape.size for other in scene.shapes)
    )
    return [*plain, *sized]


def _labels(scene: Scene) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    positions = [Shapes.names.index(shape.kind) for shape in scene.shapes]
    table = np.array([*positions, 0], dtype=np.int32)  # GROUND is -1: the last entry
    return table[scene.owner]


def _check(count: int, seed: int, size: Size, shapes: tuple[int, int], expressions: int, absent: int) -> None:
    """Raise DataError for the first number that is out of range."""
    _require(count >= 0, f"count={count}", "0 or more", "choose how many images are made")
    _require(seed >= 0, f"seed={seed}", "0 or more", "choose another seed")
    least = f"at least {LEAST_SIDE} x {LEAST_SIDE}"
    _require(min(size) >= LEAST_SIDE, f"size={size[0]} x {size[1]}", least, "make the images larger")
    ordered = 0 <= shapes[0] <= shapes[1]
    _require(ordered, f"shapes={shapes}", "the least and the greatest number", "write for example (3, 7)")
    _require(expressions >= 0, f"expressions={expressions}", "0 or more", "choose how many are asked for")
    _require(absent >= 0, f"absent={absent}", "0 or more", "choose how many are asked for")


def _require(good: bool, got: str, expected: str, remedy: str) -> None:
    if not good:
        raise DataError(sentence(got, expected, remedy))
