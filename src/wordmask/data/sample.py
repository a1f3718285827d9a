"""What every data set yields: a picture, what is asked about it and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordmask.images import ImageInput
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt

__all__ = ["UNKNOWN", "Query", "Sample"]

UNKNOWN = -1
"""The value of a pixel in `Sample.labels` of which nothing is known."""


@dataclass(frozen=True, eq=False)
class Query:
    """One prompt and the true mask.

    Attributes:
        prompt: What is asked: a phrase, or an example picture with its mask.
        packed: The true mask, held as bits; empty where the thing is known to be absent.
        label: What scores are grouped by: a class name, or an id of its own for sets without classes.
    """

    prompt: Prompt
    packed: PackedMask
    label: str

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)`; a new array at every access."""
        return self.packed.full()


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture of a data set. It is made when it is asked for and holds one picture's worth of memory.

    Attributes:
        key: Its name, different for every sample of the set and the same in every run.
        image: The picture, read by `Segmenter.encode` or `load_image`.
        size: `(H, W)` of the truth, which is that of the picture.
        queries: What is asked, in a fixed order.
        absent: Names known not to be in the picture: true negatives.
        ignored: Pixels that count neither for nor against an answer; None = none.
        labels: int32 `(H, W)` index into the set's `names`, `UNKNOWN` where nothing is known; None where the set does
            not give every pixel one name.
    """

    key: str
    image: ImageInput
    size: tuple[int, int]
    queries: tuple[Query, ...]
    absent: tuple[str, ...] = ()
    ignored: PackedMask | None = None
    labels: NDArray[np.int32] | None = None
