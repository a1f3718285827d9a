"""Regions that a method proposed, what was scored about them, and instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from wordmask.results.mask_logits import MaskLogits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask

Box: TypeAlias = "tuple[float, float, float, float]"
"""XYXY in input pixels, the end exclusive."""


@dataclass(frozen=True, eq=False, repr=False)
class Region:
    """One proposal: a mask of its own, with its scores.

    Attributes:
        mask: Bits at input size, or logits with a placement of their own (a crop, another canvas).
        score: Detection score in [0, 1]: how well the region fits the prompt.
        mask_score: Mask quality in [0, 1], such as a predicted IoU; None where the method does not estimate it.
        box: Box XYXY in input pixels that the region was made from; None where there was none.
    """

    mask: PackedMask | MaskLogits
    score: float
    mask_score: float | None = None
    box: Box | None = None

    @property
    def size(self) -> Size:
        """`(H, W)` of the input image."""
        return self.mask.size

    def packed(self, threshold: float = 0.5) -> PackedMask:
        """Return the mask as bits: logits cut at the probability `threshold`, bits as they are."""
        return self.mask.packed(threshold) if isinstance(self.mask, MaskLogits) else self.mask

    def __repr__(self) -> str:
        kind = "logits" if isinstance(self.mask, MaskLogits) else f"{self.mask.area} px"
        return f"Region({kind}, {scores_text(self.score, self.mask_score)})"


@dataclass(frozen=True, eq=False, repr=False)
class Instance:
    """One object among those found for a prompt.

    Attributes:
        packed: Its mask, stored as bits.
        score: Detection score in [0, 1]: the region's, or the mean probability inside the mask of a dense method.
        mask_score: Mask quality in [0, 1]; None where the method does not estimate it.
    """

    packed: PackedMask
    score: float
    mask_score: float | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)` at input size; a new array at every access."""
        return self.packed.full()

    @property
    def box(self) -> Box:
        """XYXY of the mask in input pixels."""
        return self.packed.box or (0.0, 0.0, 0.0, 0.0)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.packed.area

    def __repr__(self) -> str:
        box = ", ".join(f"{side:g}" for side in self.box)
        return f"Instance(box=({box}), area={self.area}, {scores_text(self.score, self.mask_score)})"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A region that was scored for a prompt, chosen or not.

    Attributes:
        region: The region.
        scores: Each part of the score by its name, such as `{"text": 0.81, "negative": 0.12}`.
        chosen: Whether the region belongs to the answer.
    """

    region: Region
    scores: Mapping[str, float]
    chosen: bool


def scores_text(score: float, mask_score: float | None) -> str:
    """Return both scores of a mask for people to read."""
    return f"score={score:.2f}" + ("" if mask_score is None else f", mask_score={mask_score:.2f}")
