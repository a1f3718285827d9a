"""Augmented images with phrases and the instances of each, where the data tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from wordmask.data.sampling.left_right import swap_left_right
from wordmask.images import load_image
from wordmask.training.augmentation import (
    Augmentation,
    Augmented,
    AugmentedSet,
    choose_window,
    collate,
    cut_mask,
    cut_window,
    jittered,
)
from wordmask.training.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wordmask.batch import Batch
    from wordmask.contracts import Trainable
    from wordmask.data.sample import Query, Sample
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.training.data import Subset
    from wordmask.training.schedule import Schedule

__all__ = ["AugmentedInstances", "InstanceAugmentation", "InstanceSet", "instances_of"]

ONE_PART = 0.93
"""Where the data tell no instances apart, a mask is one if its largest connected part has this fraction of it."""
LEAST_CELLS = 3
"""Cells of two pixels that an instance must cover."""


@dataclass(frozen=True, kw_only=True)
class InstanceAugmentation(Augmentation):
    """Settings of how samples are drawn and augmented, with their instances."""

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
    """

    instances: tuple[NDArray[np.bool_] | None, ...] = ()


class InstanceSet(AugmentedSet):
    """A `TrainingSet` whose batches carry instance masks, at half the resolution of the images."""

    def collate(self, samples: list[Augmented]) -> Batch:
        """Put augmented samples together; phrases whose instances are not known have none in `box_labels`."""
        batch = collate(samples, self.mean, self.std)
        masks, labels = [], []
        for sample in samples:
            assert isinstance(sample, AugmentedInstances)
            rows = [(k, mask) for k, found in enumerate(sample.instances) if found is not None for mask in found]
            side = sample.masks.shape[-1] // 2
            masks.append(torch.from_numpy(np.stack([m for _, m in rows]) if rows else np.zeros((0, side, side), bool)))
            labels.append(torch.tensor([k for k, _ in rows], dtype=torch.int64))
        return batch._replace(instance_masks=[m.float() for m in masks], box_labels=labels)

    def _augmented(
        self, sample: Sample, side: int, random: np.random.Generator, variant: np.random.Generator | None
    ) -> AugmentedInstances:
        settings, size, half = self.settings, (side, side), (side // 2, side // 2)
        chosen = _draw(sample, settings.prompts, settings.negatives, random)
        masks = [np.zeros(sample.size, np.bool_) if query is None else query.mask for _, query in chosen]
        known = np.ones(sample.size, np.bool_) if sample.ignored is None else ~sample.ignored.full()
        window = choose_window(masks[0], settings.crop, self.square, random if variant is None else variant)
        random = random if variant is None else variant
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
        return AugmentedInstances(
            sample.key, pixels, phrases, planes[:-1].copy(), planes[-1].copy(), instances=tuple(parts)
        )


def instances_of(query: Query | None) -> list[NDArray[np.bool_]] | None:
    """Return the masks of a query's instances, or None where they are not known one by one.

    Where the data set has none, a mask of one connected part (but for specks) is taken for one instance.

    Args:
        query: What is asked; None for a phrase that is absent, which has no instance.
    """
    if query is None or not query.packed.area:
        return []
    if query.instances:
        if any(one.mask is None or one.crowd for one in query.instances):
            return None
        return [one.mask.full() for one in query.instances if one.mask is not None and one.mask.area]
    mask = query.mask
    number, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = stats[1:, cv2.CC_STAT_AREA].max() if number > 1 else 0
    return [mask] if largest >= ONE_PART * mask.sum() else None


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
