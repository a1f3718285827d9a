"""Crops of several data sets, drawn with fixed weights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from wordmask.training.order import Order, draws

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.batch import Batch, Place
    from wordmask.training.imss.crop_set import CropSet
    from wordmask.training.imss.crops import Crop
    from wordmask.training.schedule import Schedule

__all__ = ["MixedCrops"]


class MixedCrops:
    """A `TrainingSet` whose crops come from several sets; a place is a step and a number in it.

    Args:
        sets: Where crops come from.
        weights: How often each set is drawn; their sum is arbitrary.
        schedule: Seed, batches and sizes.
    """

    def __init__(self, sets: Sequence[CropSet], weights: Sequence[float], schedule: Schedule) -> None:
        self.sets, self.schedule = tuple(sets), schedule
        self.name, self.split = "+".join(part.name for part in sets), sets[0].split
        self.fingerprint = hashlib.sha256("".join(part.fingerprint for part in sets).encode()).hexdigest()
        self._chances = np.array(weights, dtype=np.float64) / np.sum(weights)

    @property
    def images(self) -> int:
        """Number of images that are trained on."""
        return sum(part.images for part in self.sets)

    def __getitem__(self, place: Place) -> Crop:
        step, number, size = place
        draw = np.random.default_rng([self.schedule.seed, step, number])
        part = self.sets[int(draw.choice(len(self.sets), p=self._chances))]
        return part.crop(int(draw.integers(part.images)), draw, size=size)

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps."""
        return Order(draws(self.schedule.batch), self.schedule, first, last)

    def collate(self, samples: list[Crop]) -> Batch:
        """Put crops together."""
        return self.sets[0].collate(samples)

    def phrases(self) -> Iterable[str]:
        """Return every phrase that may be asked."""
        return {phrase for part in self.sets for phrase in part.phrases()}
