"""Samples of data sets: an image, its queries and the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordmask.images import ImageInput
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt

__all__ = ["UNKNOWN", "GroundTruthInstance", "Query", "Sample"]

UNKNOWN = -1
"""The value of a pixel in `Sample.labels` of which nothing is known."""


@dataclass(frozen=True, eq=False)
class GroundTruthInstance:
    """One annotated object.

    Attributes:
        mask: Its mask, held as bits; None where only its box is annotated.
        box: XYXY in pixels, the end exclusive.
        crowd: Whether it is a group of objects that are not marked one by one (COCO's `iscrowd`).
    """

    mask: PackedMask | None
    box: tuple[float, float, float, float]
    crowd: bool = False

    @classmethod
    def of_mask(cls, mask: PackedMask, *, crowd: bool = False) -> GroundTruthInstance:
        """Return the instance of a mask, with the mask's bounding box; `(0, 0, 0, 0)` for an empty one."""
        return cls(mask, mask.box or (0.0, 0.0, 0.0, 0.0), crowd)


@dataclass(frozen=True, eq=False)
class Query:
    """One prompt and its ground-truth mask.

    Attributes:
        prompt: What is asked: a phrase, or an example image with its mask.
        packed: The ground-truth mask, held as bits: the union of all instances; empty where the object is known to be
            absent. With `boxes_only` the union of the instances' boxes, which covers the objects and more.
        label: What scores are grouped by: a class name, or an id of its own for sets without classes.
        instances: The objects one by one, where the data set has them; otherwise (). Connected parts of a mask are not
            instances.
        boxes_only: Whether its objects have boxes and no masks.
    """

    prompt: Prompt
    packed: PackedMask
    label: str
    instances: tuple[GroundTruthInstance, ...] = ()
    boxes_only: bool = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)`; a new array at every access."""
        return self.packed.full()


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a data set. It is made on demand and holds one image's worth of memory.

    Attributes:
        key: Its name, different for every sample of the set and the same in every run.
        image: The image, read by `Segmenter.encode` or `load_image`.
        size: `(H, W)` of the ground truth, which is that of the image.
        queries: What is asked, in a fixed order.
        absent: Names known not to be in the image: true negatives.
        ignored: Pixels that count neither for nor against a prediction; None = none.
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
