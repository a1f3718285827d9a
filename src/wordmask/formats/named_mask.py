"""Plain data that the formats write: names, masks as bits, scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask


@dataclass(frozen=True, eq=False)
class ScoredMask:
    """The mask of one object.

    Attributes:
        mask: Bits at input size.
        score: Detection score in [0, 1].
        mask_score: Mask quality in [0, 1]; None where it was not estimated.
    """

    mask: PackedMask
    score: float
    mask_score: float | None = None


@dataclass(frozen=True, eq=False)
class NamedMask:
    """The mask of one prompt, and its objects.

    Attributes:
        name: Name of the prompt.
        mask: Bits at input size: the union; empty where nothing was found.
        presence: Probability in [0, 1] that the image shows the prompt.
        instances: Objects one by one.
    """

    name: str
    mask: PackedMask
    presence: float
    instances: tuple[ScoredMask, ...] = ()


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """All masks of one image.

    Attributes:
        size: `(H, W)`.
        masks: One per prompt, in order.
        name: File name; None when the image came from memory.
        path: Where the image came from: tells it from others of its name; None when it came from memory.
        pixels: uint8 `(H, W, 3)` RGB, needed for an overlay; None when they were not kept.
    """

    size: Size
    masks: tuple[NamedMask, ...]
    name: str | None = None
    path: str | None = None
    pixels: NDArray[np.uint8] | None = None
