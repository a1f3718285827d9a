"""Shapes: drawn as their equations say, hidden where they are hidden, and described truly."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import DatasetContract, assert_same_sample, samples
from wordmask.data.sets.shapes import BACKGROUND, Shapes
from wordmask.data.sets.shapes_scene import COLOURS, GROUND, KINDS, SHOWN, SIZES, Shape, coverage
from wordmask.data.sets.shapes_words import RELATIONS, Description, caption, expressions
from wordmask.errors import DataError
from wordmask.images import load_image


def shape(kind: str, colour: str = "red", size: str = "large", *, at: tuple[float, float] = (50, 50)) -> Shape:
    return Shape(kind, colour, size, at, 20.0, 0.0, COLOURS[colour])


class TestShapes(DatasetContract):
    options: ClassVar[dict[str, Any]] = {
        "count": 5, "seed": 1, "size": (72, 80), "shapes": (1, 2), "ask": ("kinds",), "expressions": 1, "absent": 1
    }  # fmt: skip

    def build(self, folder: Path, **options: Any) -> Shapes:
        return Shapes(**{"count": 4, "size": (96, 128), **options})

    def test_a_sample_needs_none_before_it(self) -> None:
        assert_same_sample(Shapes(1000, size=(96, 128))[777], Shapes(778, size=(96, 128))[777])
        first, second = (load_image(Shapes(2, size=(96, 128), seed=seed)[1].image).pixels for seed in (0, 1))
        assert (first != second).any()

    def test_queries_hold_all_that_fits(self, dataset: Shapes) -> None:
        asked: set[str] = set()
        for index, sample in enumerate(samples(dataset)):
            scene = dataset.scene(index)
            for query in sample.queries:
                if query.label.startswith("shapes-"):
                    continue  # a referring expression
                asked.add(query.label)
                fitting = [place for place, one in enumerate(scene.shapes) if literally_fits(query.label, one)]
                np.testing.assert_array_equal(query.mask, np.isin(scene.owner, fitting))
                assert query.prompt.name == query.label
            present = {one.kind for one in scene.shapes}
            assert {query.label for query in sample.queries} & set(KINDS) == present
            assert set(sample.absent) == set(KINDS) - present
        assert len(asked) > 10

    def test_absent_phrases_have_empty_masks(self, dataset: Shapes) -> None:
        for index in range(len(dataset)):
            (first, second) = Shapes(4, size=(96, 128), ask=["absent"])[index].queries
            assert first.label != second.label
            for query in (first, second):
                assert query.packed.area == 0
                assert not any(literally_fits(query.label, one) for one in dataset.scene(index).shapes)

    def test_labels_name_every_pixel(self, dataset: Shapes) -> None:
        for index, sample in enumerate(samples(dataset)):
            scene = dataset.scene(index)
            assert sample.labels is not None
            assert dataset.names[0] == BACKGROUND
            for owner in np.unique(scene.owner).tolist():
                name = BACKGROUND if owner == GROUND else scene.shapes[owner].kind
                assert set(sample.labels[scene.owner == owner].tolist()) == {dataset.names.index(name)}

    def test_what_is_asked_can_be_chosen(self) -> None:
        assert [query.label for query in Shapes(1, ask=())[0].queries] == []
        whole = Shapes(1)[0].queries
        parts = [Shapes(1, ask=(part,))[0].queries for part in ("kinds", "phrases")]
        assert [query.label for part in parts for query in part] == [query.label for query in whole][
            : sum(map(len, parts))
        ]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"count": -1}, "count=-1"),
            ({"seed": -1}, "seed=-1"),
            ({"size": (20, 300)}, "20 x 300"),
            ({"shapes": (4, 2)}, "least and the greatest"),
            ({"ask": ("kind",)}, "'kind'.*kinds, phrases"),
            ({"expressions": -1}, "expressions=-1"),
            ({"absent": -1}, "absent=-1"),
        ],
    )
    def test_arguments_are_checked(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            Shapes(**options)

    def test_there_may_be_nothing(self) -> None:
        dataset = Shapes(1, shapes=(0, 0), size=(48, 48))
        assert dataset.caption(0) == "nothing but the ground"
        assert [query.packed.area for query in dataset[0].queries] == [0, 0]
        assert len(Shapes(0)) == 0


def literally_fits(phrase: str, one: Shape) -> bool:
    """Whether every word of a phrase is true of a shape, word by word."""
    return all(word in (one.kind, one.colour, one.size) for word in phrase.split())


# --- drawing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        ("circle", math.pi),
        ("square", 1.6**2),
        ("ring", math.pi * (1 - 0.55**2)),
        ("triangle", 3 * math.sqrt(3) / 4),
        ("star", 10 * 0.5 * 0.45 * math.sin(math.pi / 5)),
        ("cross", 2 * 0.56 * 1.9 - 0.56**2),
    ],
)
@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_areas_are_those_of_geometry(kind: str, area: float, angle: float) -> None:
    shape = Shape(kind, "red", "large", (50.3, 49.7), 40.0, angle, (200, 0, 0))
    window, share = coverage(shape, (100, 100))
    assert share.shape == (window[3] - window[1], window[2] - window[0])
    assert float(share.sum()) == pytest.approx(area * 40**2, rel=0.004)
    assert float((share > 0.5).sum()) == pytest.approx(area * 40**2, rel=0.02)


def test_a_square_covers_its_border_by_half() -> None:
    window, share = coverage(Shape("square", "red", "large", (50.0, 50.0), 25.625, 0.0, (0, 0, 0)), (100, 100))
    row = share[share.shape[0] // 2]  # the half side is 20.5: from 29.5 to 70.5
    assert window == (24, 24, 76, 76)
    assert np.flatnonzero(row == 1).tolist() == list(range(30 - 24, 70 - 24))
    assert row[[29 - 24, 70 - 24]].tolist() == [0.5, 0.5]
    assert row[[28 - 24, 71 - 24]].tolist() == [0, 0]


def test_a_triangle_points_up() -> None:
    _, share = coverage(shape("triangle"), (100, 100))
    assert share[:10].sum() < share[20:30].sum()


def test_shapes_hide_one_another_but_not_too_much() -> None:
    hidden = 0
    for index in range(12):
        scene = Shapes(12, seed=2, shapes=(6, 8), size=(128, 128)).scene(index)
        for place, one in enumerate(scene.shapes):
            (x0, y0, x1, y1), share = coverage(one, (128, 128))
            seen = int((scene.owner == place).sum())
            inside = scene.owner[y0:y1, x0:x1] == place
            assert int(inside.sum()) == seen
            assert not (inside & (share <= 0.5)).any()
            covered = ~inside & (share > 0.5)
            assert (scene.owner[y0:y1, x0:x1][covered] > place).all()  # by those in front of it
            assert seen >= SHOWN * int((share > 0.5).sum())
            hidden += bool(covered.any())
    assert hidden > 5


def test_pixels_have_the_colour_of_their_owner() -> None:
    dataset = Shapes(6, seed=4)
    checked = 0
    for index in range(6):
        scene = dataset.scene(index)
        for place, one in enumerate(scene.shapes):
            own = scene.owner == place
            inner = own[1:-1, 1:-1] & own[:-2, 1:-1] & own[2:, 1:-1] & own[1:-1, :-2] & own[1:-1, 2:]
            colours = scene.pixels[1:-1, 1:-1][inner]
            assert np.abs(np.median(colours, axis=0) - one.rgb).max() <= 1
            nearest = min(
                COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], one.rgb, strict=True))
            )
            assert nearest == one.colour
            low, high = SIZES[one.size]
            assert low * 256 <= one.radius <= high * 256
            checked += 1
    assert checked > 15


# --- words ---------------------------------------------------------------------------------------------------------

SMALL_LEFT = shape("circle", "red", "small", at=(20, 50))
SMALL_RIGHT = shape("circle", "red", "small", at=(80, 52))
SQUARE = shape("square", "blue", at=(50, 50))


def said(shapes: Collection[Shape]) -> dict[str, int]:
    return dict(expressions(list(shapes), 100))


def test_expressions_use_a_relation_where_looks_do_not_tell() -> None:
    found = said([SMALL_LEFT, SMALL_RIGHT, SQUARE])
    assert found["the small red circle left of the square"] == 0
    assert found["the circle right of the square"] == 1
    assert found["the leftmost circle"] == 0
    assert found["the rightmost small red circle"] == 1
    assert found["the blue square"] == 2
    assert not {"the circle", "the red circle", "the topmost circle", "the circle above the square"} & found.keys()


def test_expressions_avoid_what_is_nearly_so() -> None:
    """A second circle a little to the left of the square makes "left of" doubtful, however far the first one is."""
    nearly = shape("circle", "red", "small", at=(47, 90))
    assert "the circle left of the square" in said([SMALL_LEFT, SQUARE])
    assert "the circle left of the square" not in said([SMALL_LEFT, nearly, SQUARE])
    assert said([SMALL_LEFT, nearly, SQUARE])["the circle below the square"] == 1
    steep = shape("circle", "red", "small", at=(40, 90))
    assert "the circle left of the square" not in said([steep, SQUARE])
    assert "the leftmost circle" not in said([shape("circle", at=(20, 20)), shape("circle", at=(24, 80))])


def test_landmarks_are_unique() -> None:
    twins = [shape("square", "blue", at=(10, 10)), shape("square", "blue", at=(10, 90)), shape("star", at=(80, 50))]
    assert not any("of the" in text and text.endswith("square") for text in said(twins))


def test_expressions_mean_exactly_one_thing() -> None:
    """A literal reading of every expression, which knows nothing of how they are made."""
    dataset = Shapes(40, seed=7, size=(96, 96), expressions=50, ask=("expressions",))
    kinds_of_expression = set()
    for index in range(len(dataset)):
        scene = dataset.scene(index)
        for query in dataset[index].queries:
            meant = literal_reading(query.prompt.name, scene.shapes)
            assert len(meant) == 1, query.prompt.name
            np.testing.assert_array_equal(query.mask, scene.owner == meant[0])
            assert query.packed.area > 0
            kinds_of_expression.add(next((word for word in WORDS if f" {word} " in query.prompt.name), "looks"))
    assert kinds_of_expression == {*WORDS, "looks"}


WORDS = ("leftmost", "rightmost", "topmost", "bottommost", "left of", "right of", "above", "below")


def literal_reading(text: str, shapes: Collection[Shape]) -> list[int]:
    """Return the positions of the shapes that an expression can mean."""
    words = text.removeprefix("the ")
    for relation, (axis, sign) in {
        " left of the ": (0, -1), " right of the ": (0, 1), " above the ": (1, -1), " below the ": (1, 1)
    }.items():  # fmt: skip
        if relation in words:
            first, second = words.split(relation)
            (landmark,) = [one for one in shapes if literally_fits(second, one)]
            return [
                place
                for place, one in enumerate(shapes)
                if literally_fits(first, one) and one is not landmark
                if sign * (one.centre[axis] - landmark.centre[axis]) > 0
            ]
    extreme, _, rest = words.partition(" ")
    chosen = [(one.centre, place) for place, one in enumerate(shapes) if literally_fits(rest, one)]
    if extreme in ("leftmost", "topmost"):
        return [min(chosen, key=lambda item: item[0][extreme == "topmost"])[1]]
    if extreme in ("rightmost", "bottommost"):
        return [max(chosen, key=lambda item: item[0][extreme == "bottommost"])[1]]
    return [place for place, one in enumerate(shapes) if literally_fits(words, one)]


def test_relations_are_mirrored() -> None:
    left, right, above, below = RELATIONS
    assert left.holds(SMALL_LEFT, SQUARE, 5)
    assert right.holds(SQUARE, SMALL_LEFT, 5)
    assert left.fails(SMALL_RIGHT, SQUARE)
    assert not left.holds(SMALL_LEFT, SQUARE, 31)
    assert above.holds(shape("star", at=(50, 10)), SQUARE, 5)
    assert below.fails(shape("star", at=(50, 10)), SQUARE)


def test_captions_name_every_shape() -> None:
    shapes = [SMALL_LEFT, SMALL_RIGHT, SQUARE, shape("cross", "pink", at=(51, 90))]
    expected = "2 small red circles, a large blue square and a large pink cross; the square is above the cross"
    assert caption(shapes, 100) == expected
    assert caption([shape("cross"), shape("cross", at=(90, 9))], 100) == "2 large red crosses"


def test_descriptions_read_as_english() -> None:
    assert str(Description("star", "green", "large")) == "large green star"
    assert str(Description("star")) == "star"
