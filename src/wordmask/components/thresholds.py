"""Thresholds of masks and presences: validation, and a threshold of a mask's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import PromptError, quote, sentence
from wordmask.ops.probability import best_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement


@dataclass(frozen=True)
class Thresholds:
    """Checked thresholds of one call.

    Attributes:
        mask: Probability above which a pixel belongs to a mask; None gives each mask one of its own.
        presence: Presence below which a mask is empty.
        placed: The same for the names of phrases with words of place; None: the same.
    """

    mask: float | None
    presence: float
    placed: float | None = None

    @property
    def of_places(self) -> Thresholds:
        """The thresholds for the names of phrases with words of place."""
        return Thresholds(self.mask, self.presence if self.placed is None else self.placed)


def checked_probability(value: Any, name: str) -> float:
    """Return a number from 0 to 1.

    Args:
        value: What the caller passed.
        name: The argument's name, for the message.

    Raises:
        PromptError: If it is no such number.
    """
    try:
        probability = float(value)
    except (TypeError, ValueError, OverflowError):
        probability = math.nan
    if not 0 <= probability <= 1:
        got = f"the {name.replace('_', ' ')} {quote(value)}"
        raise PromptError(sentence(got, "a probability from 0 to 1", f"pass for example {name}=0.5"))
    return probability


def own_threshold(
    logits: NDArray[np.float32], placement: Placement, *, negative: NDArray[np.float32] | None = None
) -> float:
    """Return the probability at which the expected IoU of a mask is highest (`ops.probability.best_threshold`).

    Args:
        logits: float32 `(h, w)` over the canvas.
        placement: Position of the image on the canvas; padding does not count.
        negative: float32 `(h, w)`, logits of the strongest negative phrase: cells where they are at least as high do
            not count.
    """
    left = logits if negative is None else np.where(logits > negative, logits, np.float32(-np.inf))
    return best_threshold(image_cells(left, placement))


def image_cells(logits: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Return the part of a map `(h, w)` over the canvas that shows the image, without padding; at least one cell."""
    (top, left, height, width), canvas = placement.content, placement.canvas
    down, across = logits.shape[0] / canvas[0], logits.shape[1] / canvas[1]
    rows = slice(int(top * down), max(int(top * down) + 1, math.ceil((top + height) * down)))
    columns = slice(int(left * across), max(int(left * across) + 1, math.ceil((left + width) * across)))
    return logits[rows, columns]
