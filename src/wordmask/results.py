"""What a segmenter answers: masks, heatmaps and presences, made when asked for and kept small.

A `Found` holds what the network computed, at the network's resolution. Masks of the input's size are interpolated on
demand; what stays in memory is at most one packed bit a pixel of a mask's bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from wordmask.errors import MissingExtraError, PromptError, quote, sentence
from wordmask.ops import masks
from wordmask.ops.geometry import restore, restored_strips
from wordmask.ops.probability import logit, sigmoid

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.images import ImageInput, RgbImage
    from wordmask.ops.geometry import Placement
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt

__all__ = ["SPECK", "Found", "Instance", "Region", "Segmentation"]

SPECK = 0.02
"""A connected part smaller than this share of the largest part is part of the mask, but no instance of its own."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One thing among those that a prompt found.

    Attributes:
        packed: Its mask, held as bits.
        score: Confidence in [0, 1]: the proposal's own, or the mean probability inside the mask.
    """

    packed: PackedMask
    score: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)` at input size; a new array at every access."""
        return self.packed.full()

    @property
    def box(self) -> tuple[float, float, float, float]:
        """XYXY in input pixels."""
        return self.packed.box or (0.0, 0.0, 0.0, 0.0)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.packed.area


@dataclass(frozen=True, eq=False)
class Region:
    """One candidate of a method that proposes instances.

    Attributes:
        logits: float32 `(h, w)`, its own mask logits over the network's canvas.
        score: Confidence in [0, 1].
    """

    logits: NDArray[np.float32]
    score: float


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to one prompt.

    Attributes:
        prompt: What was asked.
        logits: float32 `(h, w)`, over the network's canvas.
        placement: How the input lies on that canvas.
        presence: Probability in [0, 1] that the thing is in the picture at all.
        threshold: Probability above which a pixel belongs to the mask.
        presence_threshold: The mask is empty when `presence` is below this.
        regions: Candidates of their own, when the method proposes instances; their union is the mask.
    """

    prompt: Prompt
    logits: NDArray[np.float32]
    placement: Placement
    presence: float
    threshold: float
    presence_threshold: float
    regions: tuple[Region, ...] | None = None

    @property
    def name(self) -> str:
        """What the prompt is called."""
        return self.prompt.name

    @property
    def present(self) -> bool:
        """Whether the presence reaches its threshold."""
        return self.presence >= self.presence_threshold

    @cached_property
    def packed(self) -> PackedMask:
        """The mask, held as bits: what `mask`, `area`, `box` and the writers are made from."""
        if not self.present:
            return masks.empty(self.placement.size)
        if self.regions is not None:
            return masks.union([masks.empty(self.placement.size), *(part.packed for part in self.instances)])
        return masks.threshold(self.logits, self.placement, logit(self.threshold))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool `(H, W)` at input size: all that was found. A new array at every access."""
        return self.packed.full()

    @property
    def heatmap(self) -> NDArray[np.float32]:
        """float32 `(H, W)` in [0, 1] at input size, whatever the presence; computed at every access, not kept."""
        return sigmoid(restore(self.logits, self.placement))

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The things found one by one: the method's own regions, or the mask's connected parts, largest first.

        Connected parts smaller than `SPECK` of the largest are left out; parts that touch at a corner are one.
        """
        if not self.present:
            return ()
        if self.regions is not None:
            packed = [masks.threshold(region.logits, self.placement, logit(self.threshold)) for region in self.regions]
            pairs = zip(packed, self.regions, strict=True)
            return tuple(Instance(mask, region.score) for mask, region in pairs if mask.area)
        return tuple(Instance(part, self._mean(part)) for part in masks.components(self.packed, smallest=SPECK))

    @property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return self.packed.area

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """XYXY of the mask in input pixels, None when the mask is empty."""
        return self.packed.box

    def _mean(self, part: PackedMask) -> float:
        """Mean probability of the pixels of `part`."""
        inside, total, top = part.crop(), 0.0, part.window[1]
        for y, strip in restored_strips(self.logits, self.placement, part.window):
            chosen = inside[y - top : y - top + len(strip)]
            total += float(sigmoid(strip)[chosen].sum(dtype=np.float64))
        return total / part.area


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The answers to all prompts about one picture, in the order of the prompts.

    Attributes:
        size: `(height, width)` of the input.
        founds: One per prompt.
        image: The input, when it was kept.
        model: Name of the model that answered.
    """

    size: tuple[int, int]
    founds: tuple[Found, ...]
    image: RgbImage | None
    model: str

    @property
    def names(self) -> tuple[str, ...]:
        """What the prompts are called, duplicates included."""
        return tuple(found.name for found in self.founds)

    def __len__(self) -> int:
        return len(self.founds)

    def __iter__(self) -> Iterator[Found]:
        return iter(self.founds)

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.founds

    @overload
    def __getitem__(self, key: int | str) -> Found: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Found, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Found | tuple[Found, ...]:
        """Return an answer by position, or the first one by the prompt's name.

        Raises:
            PromptError: If no prompt has that name.
            IndexError: If there is no such position.
        """
        if not isinstance(key, str):
            return self.founds[key]
        for found in self.founds:
            if found.name == key.strip():
                return found
        asked = ", ".join(repr(name) for name in self.names)
        raise PromptError(sentence(f"the name {quote(key)}", f"one of {asked}", "use a prompt that was asked"))

    def save(self, path: str | os.PathLike[str], image: ImageInput | None = None) -> None:
        """Draw masks, outlines and labels over the picture and write it; the suffix chooses the file type.

        Args:
            path: Where to; PNG when there is no suffix.
            image: The input image, needed when the result did not keep it.

        Raises:
            ImageError: If there is no picture to draw on, or it has another size.
            OutputError: If the path is none, its suffix is unknown or the file cannot be written.
        """
        from wordmask.formats.overlay import save_overlay

        save_overlay(self, path, image=image)

    def to_coco(self) -> dict[str, Any]:
        """Return a COCO data set of this one picture: images, categories, and annotations with lossless RLE.

        One annotation per instance; `iscrowd` is 0, `bbox` is XYWH, `score` and `presence` come along.
        """
        from wordmask.formats.coco import to_coco

        return to_coco([self])

    def to_label_map(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return `(H, W)`: 0 for background, `i + 1` where prompt `i` is the most probable of the masks that claim it.

        uint8 for up to 255 prompts, else uint16. Among equals the earlier prompt wins.
        """
        labels = np.zeros(self.size, dtype=np.uint8 if len(self) <= 255 else np.uint16)
        best = np.full(self.size, -np.inf, dtype=np.float32)
        for index, found in enumerate(self.founds, start=1):
            x0, y0, x1, _ = found.packed.window
            claimed = found.packed.crop()
            for y, strip in restored_strips(found.logits, found.placement, found.packed.window):
                place = np.s_[y : y + len(strip), x0:x1]
                wins = claimed[y - y0 : y - y0 + len(strip)] & (strip > best[place])
                np.copyto(labels[place], labels.dtype.type(index), where=wins)
                np.copyto(best[place], strip, where=wins)
        return labels

    def to_supervision(self) -> Any:
        """Return the instances as `supervision.Detections`; `class_id` is the prompt's position.

        Raises:
            MissingExtraError: If supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            remedy = "run `pip install wordmask[supervision]`"
            raise MissingExtraError(sentence("no supervision package", "supervision", remedy)) from error
        rows = [(index, instance) for index, found in enumerate(self.founds) for instance in found.instances]
        if not rows:
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=np.array([instance.box for _, instance in rows], dtype=np.float32),
            mask=np.stack([instance.mask for _, instance in rows]),
            confidence=np.array([instance.score for _, instance in rows], dtype=np.float32),
            class_id=np.array([index for index, _ in rows], dtype=np.int64),
            data={"class_name": np.array([self.names[index] for index, _ in rows])},
        )
