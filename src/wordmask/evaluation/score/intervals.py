"""Intervals over images of statistics of rows, one row a prompt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.bootstrap import Interval, Statistic, interval, ratio_of_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["mean_over_images", "one_hot", "over_images", "score_json", "sum_by_image"]

_MEAN = ratio_of_sums((0,), (1,))


def sum_by_image(values: NDArray[Any], image: NDArray[np.int64], images: int) -> NDArray[np.float64]:
    """Sum rows `(R, K)` within images, float64 `(images, K)`: images are drawn, not their prompts."""
    sums = np.zeros((images, values.shape[1]))
    np.add.at(sums, image, values)
    return sums


def over_images(
    values: NDArray[Any], image: NDArray[np.int64], images: int, statistic: Statistic, *, draws: int, seed: int
) -> Interval | None:
    """Compute a statistic of summed rows with its interval over images; None without a row.

    One image alone has no interval: its ends are `nan`.

    Args:
        values: `(R, K)`.
        image: int64 `(R,)`, image of each row.
        images: Number of images, those without a row included.
        statistic: Function of the sums, see `wordmask.metrics.bootstrap`.
        draws: Number of resampled values.
        seed: Of the draws.
    """
    if not len(values):
        return None
    found = interval(sum_by_image(values, image, images), statistic, draws=draws, seed=seed)
    return found if len(np.unique(image)) > 1 else replace(found, low=math.nan, high=math.nan)


def mean_over_images(
    values: NDArray[Any], image: NDArray[np.int64], images: int, *, draws: int, seed: int
) -> dict[str, float | None] | None:
    """Compute the mean of `(R,)` values with its interval over images."""
    pairs = np.stack([values, np.ones(len(values))], axis=1)
    return score_json(over_images(pairs, image, images, _MEAN, draws=draws, seed=seed))


def one_hot(labels: NDArray[Any], names: Sequence[str], values: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows `(R, K)` as `(R, C * K)`, zero but in the block of the row's label; other labels stay zero."""
    places = {name: place for place, name in enumerate(names)}
    wide = np.zeros((len(labels), len(names), values.shape[1]))
    for row, label in enumerate(labels.tolist()):
        if label in places:
            wide[row, places[label]] = values[row]
    return wide.reshape(len(labels), -1)


def score_json(result: Interval | float | None) -> dict[str, float | None] | None:
    """Return a value and its interval, rounded to a millionth so that the last bits of a sum do not show."""
    if result is None:
        return None
    if not isinstance(result, Interval):
        return {"value": _rounded(result)}
    return {"value": _rounded(result.value), "low": _rounded(result.low), "high": _rounded(result.high)}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
