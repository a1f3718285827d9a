"""Labels never overlap, never leave the image, and stay with their things."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wordmask.formats.labels import Rectangle, Request, place_labels


def _request(width: int, height: int, box: tuple[int, int, int, int], size: tuple[int, int]) -> Request:
    shape = np.zeros((size[0] // 4, size[1] // 4), dtype=bool)
    shape[box[1] // 4 : max(box[3] // 4, box[1] // 4 + 1), box[0] // 4 : max(box[2] // 4, box[0] // 4 + 1)] = True
    return Request(width, height, tuple(map(float, box)), shape)  # type: ignore[arg-type]


def _detail(size: tuple[int, int]) -> np.ndarray:
    return np.zeros((size[0] // 4, size[1] // 4), dtype=np.float32)


def _apart(first: Rectangle, second: Rectangle, gap: int) -> bool:
    across = first[0] - second[2] >= gap or second[0] - first[2] >= gap
    return across or first[1] - second[3] >= gap or second[1] - first[3] >= gap


@pytest.mark.parametrize("seed", range(12))
def test_crowds_keep_apart_and_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(200, 500)), int(rng.integers(200, 500)))
    requests = []
    for _ in range(25):
        x, y = int(rng.integers(0, size[1] - 20)), int(rng.integers(0, size[0] - 20))
        box = (x, y, min(x + int(rng.integers(4, 90)), size[1]), min(y + int(rng.integers(4, 90)), size[0]))
        requests.append(_request(int(rng.integers(20, 110)), 16, box, size))
    places = place_labels(requests, size, detail=rng.random((size[0] // 4, size[1] // 4)).astype(np.float32), gap=3)
    placed = [(request, place) for request, place in zip(requests, places, strict=True) if place]
    print(f"{len(placed)} of 25 placed on {size}")
    assert len(placed) >= 20
    for request, (x0, y0, x1, y1) in placed:
        assert (x1 - x0, y1 - y0) == (request.width, request.height)
        assert 0 <= x0 < x1 <= size[1]
        assert 0 <= y0 < y1 <= size[0]
    assert all(_apart(one, two, 3) for (_, one), (_, two) in itertools.combinations(placed, 2))


def test_one_label_sits_on_top_of_its_thing() -> None:
    size = (400, 400)
    (place,) = place_labels([_request(60, 20, (100, 200, 200, 300), size)], size, detail=_detail(size), gap=4)
    assert place is not None
    assert (place[0] + place[2]) / 2 == pytest.approx(150, abs=4)
    assert 170 <= place[1] <= 200


def test_at_the_upper_edge_it_sits_inside() -> None:
    size = (400, 400)
    (place,) = place_labels([_request(60, 20, (0, 0, 200, 300), size)], size, detail=_detail(size), gap=4)
    assert place is not None
    assert place[1] == 4
    assert place[0] >= 4


def test_small_things_are_not_covered() -> None:
    size = (400, 400)
    detail = _detail(size)
    detail[44:56, 25:50] = 1  # what lies in the usual place, y 176 to 224
    (place,) = place_labels([_request(60, 20, (100, 200, 200, 300), size)], size, detail=detail, gap=4)
    assert place is not None
    x0, y0, x1, y1 = place
    assert detail[y0 // 4 : -(-y1 // 4), x0 // 4 : -(-x1 // 4)].sum() == 0


def test_things_come_before_notes() -> None:
    size = (40, 100)
    note, thing = Request(90, 30, (0.0, 40.0, 0.0, 40.0)), _request(90, 30, (10, 10, 60, 30), size)
    assert [place is not None for place in place_labels([note, thing], size, detail=_detail(size), gap=2)] == [
        False,
        True,
    ]


def test_a_note_goes_to_the_bottom_left() -> None:
    size = (400, 400)
    (place,) = place_labels([Request(80, 20, (0.0, 400.0, 0.0, 400.0))], size, detail=_detail(size), gap=4)
    assert place == (4, 376, 84, 396)


def test_what_does_not_fit_is_left_out() -> None:
    size = (40, 60)
    requests = [_request(70, 10, (10, 10, 20, 20), size), _request(30, 50, (10, 10, 20, 20), size)]
    assert place_labels(requests, size, detail=_detail(size), gap=2) == [None, None]
    assert place_labels([], size, detail=_detail(size), gap=2) == []


def test_a_label_as_large_as_the_image() -> None:
    size = (40, 60)
    request = _request(60, 40, (10, 10, 20, 20), size)
    assert place_labels([request], size, detail=_detail(size), gap=5) == [(0, 0, 60, 40)]
