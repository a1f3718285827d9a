"""Placement of labels: near their objects, without overlap, inside the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Rectangle: TypeAlias = "tuple[int, int, int, int]"
"""`(x0, y0, x1, y1)` in pixels, the end exclusive."""

_AWAY = 3.0  # cost of a place as far from its object as the image's diagonal
_COVERING = 1.5  # cost of a place that hides small objects
_UNUSUAL = 0.5  # cost of a place a diagonal away from where labels usually are: centred above the object
_SWEEPS = 4  # rounds in which every label may look for a better place now that the others have theirs


@dataclass(frozen=True, eq=False)
class Request:
    """A label to be placed.

    Attributes:
        width, height: Its size in pixels.
        box: XYXY of the object it names, in pixels.
        shape: bool `(h, w)`, the object on the same small map as `detail`; None when there is no such object, then the
            label takes what the others leave, as near to `box` as it can.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]
    shape: NDArray[np.bool_] | None = None


def place_labels(
    requests: Sequence[Request], size: tuple[int, int], *, detail: NDArray[np.float32], gap: int
) -> list[Rectangle | None]:
    """Return a rectangle for each label; None for one that fits nowhere.

    Labels of small objects are placed first, then each in turn may improve its place given the others'.

    Args:
        requests: The labels.
        size: `(H, W)` of the image; no rectangle leaves it.
        detail: float32 `(h, w)` over the image at any scale: what it costs to cover a spot.
        gap: Free pixels kept between two labels, and to the image's border where there is room.
    """
    places: list[Rectangle | None] = [None] * len(requests)
    options = [_Options.of(request, size, detail, gap) for request in requests]
    order = sorted(range(len(requests)), key=lambda index: (requests[index].shape is None, _area(requests[index].box)))
    for _ in range(_SWEEPS):
        before = list(places)
        for index in order:
            others = [place for other, place in enumerate(places) if place is not None and other != index]
            places[index] = options[index].best(others, gap)
        if places == before:
            break
    return places


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


@dataclass(frozen=True, eq=False)
class _Options:
    """Candidate places of a label, with the cost of each.

    Attributes:
        corners: int `(N, 2)`, upper left corners x, y.
        costs: float `(N,)`.
        width, height: Of the label.
    """

    corners: NDArray[np.int64]
    costs: NDArray[np.float64]
    width: int
    height: int

    @classmethod
    def of(cls, request: Request, size: tuple[int, int], detail: NDArray[np.float32], gap: int) -> _Options:
        label = (request.width, request.height)
        corners = _corners(request, size, gap)
        under = _Under(corners, label, detail.shape, size)
        costs = _UNUSUAL * _unusual(request, corners, size) + _COVERING * under.mean(detail)
        if request.shape is not None:
            costs += _AWAY * under.nearest(_distance_to(request.shape)) / np.hypot(*detail.shape)
        return cls(corners, costs, *label)

    def best(self, others: Sequence[Rectangle], gap: int) -> Rectangle | None:
        """Return the cheapest place that keeps `gap` pixels off all others, None if there is no such place."""
        free = np.ones(len(self.corners), dtype=np.bool_)
        x, y = self.corners.T
        for x0, y0, x1, y1 in others:
            beside = (x >= x1 + gap) | (x + self.width + gap <= x0)
            free &= beside | (y >= y1 + gap) | (y + self.height + gap <= y0)
        if not free.any():
            return None
        best = int(np.where(free, self.costs, np.inf).argmin())
        left, top = (int(value) for value in self.corners[best])
        return left, top, left + self.width, top + self.height


def _corners(request: Request, size: tuple[int, int], gap: int) -> NDArray[np.int64]:
    """Return `(N, 2)`: the natural places on and around the box first, then a grid over the whole image."""
    room = np.array([size[1] - request.width, size[0] - request.height])
    if room.min() < 0:
        return np.zeros((0, 2), dtype=np.int64)
    margin = np.minimum(gap, room // 2)
    x0, y0, x1, y1 = request.box
    across = (x0, (x0 + x1 - request.width) / 2, x1 - request.width)
    along = (y0 - request.height - gap, y0 - request.height / 2, y0 + gap, y1 - request.height / 2, y1 + gap)
    natural = np.array([(x, y) for y in along for x in across]).round()
    step = max(2, request.height // 3, int((size[0] * size[1] / 20_000) ** 0.5))
    x, y = (np.append(np.arange(low, high, step), high) for low, high in zip(margin, room - margin, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.concatenate([natural.clip(margin, room - margin), grid]).astype(np.int64)


def _unusual(request: Request, corners: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return `(N,)`: how far each place is from the usual one, centred above the box, in diagonals."""
    x0, y0, x1, _ = request.box
    across = corners[:, 0] + request.width / 2 - (x0 + x1) / 2
    along = corners[:, 1] + request.height - y0
    far: NDArray[np.float64] = np.hypot(across, along) / np.hypot(*size)
    return far


def _distance_to(shape: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return `(h, w)`: how many cells it is to the shape; 0 on it."""
    return np.asarray(cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)


class _Under:
    """The cells of a small map that lie under a label at each of its possible places."""

    def __init__(
        self, corners: NDArray[np.int64], label: tuple[int, int], cells: tuple[int, ...], size: tuple[int, int]
    ) -> None:
        scale = np.array([cells[1] / size[1], cells[0] / size[0]])
        limit = np.array([cells[1], cells[0]])
        self.first = np.minimum(np.floor(corners * scale), limit - 1).astype(np.int64)
        self.last = np.clip(np.ceil((corners + np.array(label)) * scale), self.first + 1, limit).astype(np.int64)

    def mean(self, cells: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return `(N,)`: the mean under each place."""
        sums = np.asarray(cv2.integral(cells, sdepth=cv2.CV_64F))
        (x0, y0), (x1, y1) = self.first.T, self.last.T
        total: NDArray[np.float64] = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        mean: NDArray[np.float64] = total / ((x1 - x0) * (y1 - y0))
        return mean

    def nearest(self, cells: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return `(N,)`: the least value under each place (labels of one size, so one erosion answers for all)."""
        if not len(self.first):
            return np.zeros(0)
        columns, rows = (int(value) for value in (self.last - self.first).max(axis=0))
        kernel = np.ones((rows, columns), dtype=np.uint8)
        least = np.asarray(cv2.erode(cells, kernel, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE))
        chosen: NDArray[np.float64] = least[self.first[:, 1], self.first[:, 0]].astype(np.float64)
        return chosen
