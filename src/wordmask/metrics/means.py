"""Means, standard deviations and quotients with their undefined cases pinned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def mean(values: Iterable[float]) -> float:
    """Return the mean; `nan` of nothing. The sum is rounded once, so the order of the values does not matter."""
    numbers = [float(value) for value in values]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def deviation(values: Iterable[float]) -> float:
    """Return the population standard deviation (no Bessel correction); `nan` of nothing."""
    numbers = [float(value) for value in values]
    centre = mean(numbers)
    return math.sqrt(mean((number - centre) ** 2 for number in numbers)) if numbers else math.nan


def quotient(top: NDArray[Any], bottom: NDArray[Any], *, otherwise: NDArray[Any] | float) -> NDArray[np.float64]:
    """Return `top / bottom` of arrays of one shape, `otherwise` where the divisor is 0."""
    result: NDArray[np.float64] = np.empty(top.shape)
    result[...] = otherwise
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result
