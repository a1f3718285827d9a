"""Augmented images with phrases and the instances of each, where the data tell them apart: masks, or boxes alone."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from wordmask.data.sampling.left_right import swap_left_right
from wordmask.errors import DataError, WordmaskWarning, sentence
from wordmask.images import load_image
from wordmask.training.augmentation import (
    Augmentation,
    Augmented,
    AugmentedSet,
    collate,
    cut_mask,
    cut_window,
    jittered,
)
from wordmask.training.data import TrainingData
from wordmask.training.inspection import InstanceCounts, phrase_of
from wordmask.training.order import Order, mixed_epochs
from wordmask.training.several import JoinedData, images_in_batch, open_several

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.batch import Batch
    from wordmask.contracts import Trainable
    from wordmask.data.sample import Query, Sample
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.ops.geometry import Size
    from wordmask.training.data import DataChoice, Subset
    from wordmask.training.opening import Opened
    from wordmask.training.schedule import Schedule

__all__ = ["AugmentedInstances", "InstanceAugmentation", "InstanceSet", "instances_of"]

ONE_PART = 0.93
"""Where the data tell no instances apart, a mask is one if its largest connected part has this fraction of it."""
LEAST_CELLS = 3
"""Cells of two pixels that an instance must cover."""


@dataclass(frozen=True, kw_only=True)
class InstanceAugmentation(Augmentation):
    """Settings of how samples are drawn and augmented, with their instances.

    Attributes:
        also: Further data sets that are mixed in, in any shape that `--data` takes; validation is on the first set.
        weights: Fractions of a batch that come from each set, the first of which is that of `--data`; they need not add
            up to 1. () = the same from each.
    """

    also: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the user's data, which may have boxes in place of masks, and further sets; read every sample once.

        Raises:
            DataError: If something is wrong, or nothing is left, or no image has a mask.
        """
        opened = open_several(
            choice, self.also, validate=bool(schedule.valid_every), holdout=self.holdout, limit=self.valid_limit,
            seed=schedule.seed, skip_bad=skip_bad, boxes=bool(getattr(model, "reads_boxes", False)),
        )  # fmt: skip
        counts = InstanceCounts.sum(one.counts for one in opened)
        _say(counts)
        left_out = tuple(problem for one in opened for problem in one.left_out)
        train = self._mixed(opened, model, schedule)
        return TrainingData(train, opened[0].train, opened[0].validation, left_out, counts if counts.boxes else None)

    def _mixed(self, opened: list[Opened], model: Trainable, schedule: Schedule) -> InstanceSet:
        if not self.also and not self.weights:
            return self.training_set(opened[0].train, model, schedule, opened[0].phrases)
        shares = images_in_batch(schedule.batch, self.weights or (1.0,) * len(opened), len(opened))
        data = JoinedData(opened)
        joined = self.training_set(data.subset(), model, schedule, data.phrases)
        joined.places = mixed_epochs(data.sizes, shares, seed=schedule.seed, shuffle=self.shuffle)
        return joined

    def training_set(
        self, samples: Subset, model: Trainable, schedule: Schedule, phrases: Mapping[int, PhraseList]
    ) -> InstanceSet:
        """Return the set that augments samples by these settings."""
        return InstanceSet(samples, self, model, schedule, phrases=phrases)


@dataclass(frozen=True, eq=False)
class AugmentedInstances(Augmented):
    """An augmented image with K phrases, and the instances of each.

    Attributes:
        instances: For each phrase bool `(N, S / 2, S / 2)`, or None where the data do not tell instances apart.
        boxed: For each phrase whether they are rectangles, since the data have boxes and no masks.
    """

    instances: tuple[NDArray[np.bool_] | None, ...] = ()
    boxed: tuple[bool, ...] = ()


class InstanceSet(AugmentedSet):
    """A `TrainingSet` whose batches carry instance masks, at half the resolution of the images.

    Attributes:
        places: Where the n-th sample of the training lies (epoch, index); None = every sample comes once an epoch.
    """

    places: Callable[[int], tuple[int, int]] | None = None

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps."""
        return super().order(first, last) if self.places is None else Order(self.places, self.schedule, first, last)

    def collate(self, samples: list[Augmented]) -> Batch:
        """Put augmented samples together; phrases whose instances are not known have none in `box_labels`."""
        batch = collate(samples, self.mean, self.std)
        masks, labels = [], []
        boxed: list[bool] = []
        for sample in samples:
            assert isinstance(sample, AugmentedInstances)
            boxed += sample.boxed
            rows = [(k, mask) for k, found in enumerate(sample.instances) if found is not None for mask in found]
            side = sample.masks.shape[-1] // 2
            masks.append(torch.from_numpy(np.stack([m for _, m in rows]) if rows else np.zeros((0, side, side), bool)))
            labels.append(torch.tensor([k for k, _ in rows], dtype=torch.int64))
        return batch._replace(
            instance_masks=[m.float() for m in masks], box_labels=labels, boxed=torch.tensor(boxed, dtype=torch.bool)
        )

    def _augmented(
        self, sample: Sample, side: int, random: np.random.Generator, variant: np.random.Generator | None
    ) -> AugmentedInstances:
        settings, size, half = self.settings, (side, side), (side // 2, side // 2)
        chosen = _draw(sample, settings.prompts, settings.negatives, random)
        masks = [_mask(query, sample.size) for _, query in chosen]
        known = np.ones(sample.size, np.bool_) if sample.ignored is None else ~sample.ignored.full()
        shown = masks[0] if variant is None else _mask(_draw(sample, 1, settings.negatives, variant)[0][1], sample.size)
        random = random if variant is None else variant
        window = self.window(shown, random)
        pixels = cut_window(load_image(sample.image).pixels, window, size, self._fill)
        planes = np.stack([cut_mask(plane, window, size) for plane in (*masks, known)])
        whole = [instances_of(query) for _, query in chosen]
        parts = [None if one is None else _cut(one, window, half) for one in whole]
        phrases = tuple(phrase for phrase, _ in chosen)
        if random.random() < settings.mirror:
            pixels, planes = pixels[:, ::-1], planes[..., ::-1]
            parts = [None if part is None else part[..., ::-1].copy() for part in parts]
            phrases = tuple(swap_left_right(phrase) for phrase in phrases)
        pixels = np.ascontiguousarray(jittered(pixels, settings.colour, random))
        boxed = tuple(query is not None and query.boxes_only for _, query in chosen)
        return AugmentedInstances(
            sample.key, pixels, phrases, planes[:-1].copy(), planes[-1].copy(), instances=tuple(parts), boxed=boxed
        )


def _mask(query: Query | None, size: Size) -> NDArray[np.bool_]:
    return np.zeros(size, np.bool_) if query is None else query.mask


def instances_of(query: Query | None) -> list[NDArray[np.bool_]] | None:
    """Return the masks of a query's instances, or None where they are not known one by one.

    Where the data set has none, a mask of one connected part (but for specks) is taken for one instance. Instances with
    boxes alone are rectangles.

    Args:
        query: What is asked; None for a phrase that is absent, which has no instance.
    """
    if query is None or not query.packed.area:
        return []
    if query.boxes_only:
        return [_rectangle(one.box, query.packed.size) for one in query.instances]
    if query.instances:
        if any(one.mask is None or one.crowd for one in query.instances):
            return None
        return [one.mask.full() for one in query.instances if one.mask is not None and one.mask.area]
    mask = query.mask
    number, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = stats[1:, cv2.CC_STAT_AREA].max() if number > 1 else 0
    return [mask] if largest >= ONE_PART * mask.sum() else None


def _rectangle(box: tuple[float, float, float, float], size: Size) -> NDArray[np.bool_]:
    """Return bool `(H, W)`: pixels that a box touches."""
    mask = np.zeros(size, np.bool_)
    x0, y0, x1, y1 = box
    mask[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
    return mask


def _say(counts: InstanceCounts) -> None:
    """Warn of boxes without masks, and say what they teach.

    Raises:
        DataError: If no instance has a mask.
    """
    if not counts.boxes:
        return
    got = f"{counts.boxes} instances with boxes alone and {counts.masks} with masks"
    if not counts.masks:
        expected = "some masks, which proposals and scores learn from: boxes teach only the division into instances"
        raise DataError(sentence(got, expected, "mix in a set with masks, such as --change also=DIR"))
    expected = "masks for all that proposals, expected IoU and scores should learn from"
    remedy = "go on where boxes are to teach only which pixels belong to one instance: offsets, sizes and centres"
    warnings.warn(sentence(got, expected, remedy), WordmaskWarning, stacklevel=3)


def _cut(masks: list[NDArray[np.bool_]], window: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Windows bool `(N, h, w)` of the instances that show enough of themselves there."""
    cut = [plane for plane in (cut_mask(mask, window, size) for mask in masks) if plane.sum() >= LEAST_CELLS]
    return np.stack(cut) if cut else np.zeros((0, *size), np.bool_)


def _draw(sample: Sample, count: int, negatives: float, random: np.random.Generator) -> list[tuple[str, Query | None]]:
    """Draw phrases with their queries as `training.augmentation.draw_phrases` does; None: known to be absent."""
    present = [sample.queries[int(place)] for place in random.permutation(len(sample.queries))]
    absent = [sample.absent[int(place)] for place in random.permutation(len(sample.absent))]
    chosen: list[tuple[str, Query | None]] = []
    for number in range(count):
        drawn = random.random() < negatives  # drawn in any case, so that every sample draws alike
        if absent and (drawn or not present):
            chosen.append((absent[number % len(absent)], None))
        else:
            query = present[number % len(present)]
            chosen.append((phrase_of(query.prompt) or query.label, query))
    return chosen
