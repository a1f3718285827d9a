"""What one step of training sees: places in a training set, and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "Place"]


class Place(NamedTuple):
    """Which augmented sample is wanted. Every random draw of a training set depends on its seed and on this alone.

    Attributes:
        time: Epoch, of sets whose samples come once an epoch; step, of sets that draw samples for every step.
        item: Index of the sample in the set, or number of the draw in the step.
        size: Side of the augmented image in pixels; 0 = what the training set was made for.
    """

    time: int
    item: int
    size: int = 0


class Batch(NamedTuple):
    """B images with K phrases each; P = B * K phrases, those of an image beside each other.

    Only the first five fields are always there. Recipes fill what their loss reads.

    Attributes:
        keys: B keys of samples.
        pixels: float32 `(B, 3, S, S)`, normalised.
        phrases: P phrases.
        masks: float32 `(P, h, w)` in [0, 1]: how much of each cell the phrase covers. `(h, w)` is `(S, S)`, or the
            resolution of the network's masks.
        known: float32 `(P, h, w)` in [0, 1]: weight of each cell in the loss, 0 where nothing is known.
        presence: float32 `(P,)`, 1 where the phrase is in the image.
        presence_weights: float32 `(P,)`, weight of that in the loss.
        supports: float32 `(P, 3, s, s)`, normalised example images.
        text_weights: float32 `(P,)`, weight of the phrase in its mixture with the example.
        vectors: float32 `(B, K, C)`, embedded phrases.
        class_map: int64 `(B, h, w)`, index into the names of the image's set + 1; 0 = none of them, -1 = unknown.
        sources: B names of the sets that the images are from.
        name_ids: int64 `(B, K)`, index of each phrase in the training set's names.
        boxes: B float32 tensors `(N, 4)`, XYXY in pixels of the augmented image.
        box_labels: B int64 tensors `(N,)`: index of each box's phrase among the image's K.
        coarse: float32 `(P, S, S)`, coarse logits of what is drawn finer.
        instance_masks: B float32 tensors `(N, h, w)` in [0, 1], one for each box.
        boxed: bool `(P,)`, whether the phrase has boxes alone: its instance masks are then rectangles.
    """

    keys: list[str]
    pixels: Tensor
    phrases: list[str]
    masks: Tensor
    known: Tensor
    presence: Tensor | None = None
    presence_weights: Tensor | None = None
    supports: Tensor | None = None
    text_weights: Tensor | None = None
    vectors: Tensor | None = None
    class_map: Tensor | None = None
    sources: list[str] | None = None
    name_ids: Tensor | None = None
    boxes: list[Tensor] | None = None
    box_labels: list[Tensor] | None = None
    instance_masks: list[Tensor] | None = None
    boxed: Tensor | None = None
    coarse: Tensor | None = None
