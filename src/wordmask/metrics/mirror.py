"""Mirror consistency: does a method answer the mirrored picture, asked with sides swapped, by the mirrored mask?

A method that ignores "left" and "right", or has learned one side better, shows it here without any further truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.metrics.accumulator import PerSample, mean, ratio
from wordmask.metrics.boundary import agreement
from wordmask.metrics.judged import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

_SIDE = re.compile(r"\b(left|right)(?=(?:most|hand|wards?)?\b)", re.IGNORECASE)


def swap_sides(phrase: str) -> str:
    """Return a phrase with "left" and "right" swapped, upper and lower case kept.

    Whole words, also in compounds ("left-hand", "leftmost", "rightwards"); not inside others ("bright", "leftover").
    "right" in the sense of correct or "left" of departed cannot be told apart and is swapped as well.
    """
    return _SIDE.sub(_other_side, phrase)


def _other_side(found: re.Match[str]) -> str:
    word = found.group()
    other = "right" if word.lower() == "left" else "left"
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def mirror_overlap(mask: NDArray[np.bool_], mirrored: NDArray[np.bool_]) -> tuple[int, int]:
    """Return intersection and union, in pixels, of a mask and the mirror image of `mirrored`, bool `(H, W)` each."""
    return overlap(mask, mirrored[:, ::-1])


@dataclass(frozen=True, eq=False)
class Mirror(PerSample):
    """Mirror consistency over a data set.

    Rows are intersection and union of both answers with each other, of the answer with the truth, and of the mirrored
    answer with the mirrored truth. Two empty masks agree (1).
    """

    columns: ClassVar[tuple[str, ...]] = (
        "intersection", "union", "truth_intersection", "truth_union", "mirror_intersection", "mirror_union",
    )  # fmt: skip

    def update(self, judged: Judged, mirrored: NDArray[np.bool_]) -> None:
        """Count one judgement.

        Args:
            judged: The answer to the picture as it is, and its truth.
            mirrored: bool `(H, W)`, the answer to the mirrored picture and `swap_sides(phrase)`, as it came.

        Raises:
            DataError: If the answers differ in shape or type.
        """
        if mirrored.shape != judged.mask.shape or mirrored.dtype != np.bool_:
            got = f"a mirrored mask {mirrored.dtype} {mirrored.shape} for {quote(judged.key)}"
            raise DataError(sentence(got, f"bool {judged.mask.shape}", "resize it to match the truth"))
        if not judged.pixels:
            return
        back = mirrored[:, ::-1]
        pairs = ((judged.mask, back), (judged.mask, judged.truth), (back, judged.truth))
        self._keep(judged, [number for one, two in pairs for number in overlap(one, two, judged.ignored)])

    def compute(self) -> dict[str, float]:
        """Return `mirror_iou`, the mean IoU of both answers, and `mirror_ratio`.

        The ratio is the mean IoU with the truth of the mirrored answers over that of the others: 1 for a method that
        does not care about sides; `nan` where the others have none.
        """
        rows = self.rows()
        consistency, plain, turned = (mean(agreement(rows[:, start : start + 2])) for start in (0, 2, 4))
        return {"mirror_iou": consistency, "mirror_ratio": ratio(turned, plain)}
