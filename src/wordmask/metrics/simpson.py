"""Simpson's rule on an irregular grid; own code, so that no score depends on SciPy's version.

A parabola through every three points; grids with an even number of points need a rule for the odd interval left over.
Intervals of no width are allowed, as SciPy allows them: a term divided by such a width is left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wordmask.metrics.means import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray


def simpson(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Integrate; equal to `scipy.integrate.simpson(y, x=x)` since SciPy 1.11.

    The interval left over by an even number of points is the last; under it lies the parabola through the last three
    points (Cartwright 2017, "Simpson's rule cumulative integration with MS Excel and irregularly-spaced data").
    Fewer than two points have no area, two have a trapezium's.

    Args:
        y: float64 `(n,)`.
        x: float64 `(n,)`, not falling.
    """
    if len(x) % 2:
        return _three_by_three(y, x)
    if len(x) < 4:
        return _trapezium(y, x)
    return _three_by_three(y[:-1], x[:-1]) + _last(y[-3:], x[-3:])


def simpson_average(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Integrate; equal to `simpson(y, x, even="avg")`, SciPy's default before 1.11.

    With an even number of points: the mean of leaving over the last interval and leaving over the first, each time
    with a trapezium in its place. With an odd number it equals `simpson`.

    Args:
        y: float64 `(n,)`.
        x: float64 `(n,)`, not falling.
    """
    if len(x) % 2:
        return _three_by_three(y, x)
    last_left_over = _three_by_three(y[:-1], x[:-1]) + _trapezium(y[-2:], x[-2:])
    first_left_over = _three_by_three(y[1:], x[1:]) + _trapezium(y[:2], x[:2])
    return (last_left_over + first_left_over) / 2


def _trapezium(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    return float((x[1] - x[0]) * (y[0] + y[1]) / 2) if len(x) == 2 else 0.0


def _three_by_three(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    if len(x) < 3:
        return 0.0
    widths = np.diff(x)
    left, right = widths[0::2], widths[1::2]
    both = left + right
    first = 2 - quotient(right, left, otherwise=0)
    last = 2 - quotient(left, right, otherwise=0)
    middle = both * quotient(both, left * right, otherwise=0)
    return math.fsum(both / 6 * (first * y[0:-2:2] + middle * y[1:-1:2] + last * y[2::2]))


def _last(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    before, width = (float(value) for value in np.diff(x))
    both = before + width
    end = (2 * width**2 + 3 * before * width) / (6 * both) if both else 0.0
    middle = (width**2 + 3 * before * width) / (6 * before) if before else 0.0
    start = width**3 / (6 * before * both) if before else 0.0
    return float(end * y[2] + middle * y[1] - start * y[0])
