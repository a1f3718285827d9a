"""Which samples a step takes: a function of seed and step alone, so that a run can be continued from any step."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from wordmask.batch import Place
from wordmask.training.schedule import size_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from wordmask.training.schedule import Schedule

__all__ = ["Order", "draws", "epochs", "mixed_epochs", "whole_batches"]


class Order:
    """A batch sampler for torch's `DataLoader`: lists of places, `accumulate` of them for each step.

    Args:
        place: (time and index) of the n-th sample of the whole training: see `epochs` and `draws`.
        schedule: Batch size, parts of a batch, sizes of images.
        first: First step.
        last: Step after the last one.
        each: Places in a list; None = as many as a part of a batch has images.
    """

    drop_last = False

    def __init__(
        self, place: Callable[[int], tuple[int, int]], schedule: Schedule, first: int, last: int, *,
        each: int | None = None,
    ) -> None:  # fmt: skip
        self._place, self._schedule, self._first, self._last = place, schedule, first, last
        self.batch_size = schedule.batch // schedule.accumulate if each is None else each

    def __len__(self) -> int:
        return (self._last - self._first) * self._schedule.accumulate

    def __iter__(self) -> Iterator[list[Place]]:
        for part in range(self._first * self._schedule.accumulate, self._last * self._schedule.accumulate):
            size = size_at(part // self._schedule.accumulate, self._schedule)
            start = part * self.batch_size
            yield [Place(*self._place(number), size) for number in range(start, start + self.batch_size)]


def epochs(count: int, *, seed: int, shuffle: bool = True) -> Callable[[int], tuple[int, int]]:
    """Return where the n-th sample lies (epoch, index) when each of `count` samples comes once an epoch.

    Args:
        count: Number of samples.
        seed: Of the order.
        shuffle: Whether every epoch has a random order of its own; otherwise it is the data set's.
    """
    latest: dict[int, NDArray[np.int64]] = {}

    def place(number: int) -> tuple[int, int]:
        epoch, within = divmod(number, count)
        if not shuffle:
            return epoch, within
        if epoch not in latest:
            latest.clear()
            latest[epoch] = np.random.default_rng([seed, epoch]).permutation(count)
        return epoch, int(latest[epoch][within])

    return place


def mixed_epochs(
    counts: Sequence[int], shares: Sequence[int], *, seed: int, shuffle: bool = True
) -> Callable[[int], tuple[int, int]]:
    """Return where the n-th sample lies when every batch has a fixed number of samples of each of several sets.

    Every set has epochs of its own. Samples of the sets alternate within a batch, so that its parts are mixed, too.

    Args:
        counts: Number of samples of each set; indices go through the sets one after the other.
        shares: Samples of each set in a batch.
        seed: Of the orders.
        shuffle: Whether every epoch has a random order of its own.
    """
    slots = sorted(((turn + 0.5) / share, place, turn) for place, share in enumerate(shares) for turn in range(share))
    sets = [epochs(count, seed=seed + place, shuffle=shuffle) for place, count in enumerate(counts)]
    starts = (0, *accumulate(counts))

    def place_of(number: int) -> tuple[int, int]:
        batch, slot = divmod(number, len(slots))
        _, chosen, turn = slots[slot]
        epoch, index = sets[chosen](batch * shares[chosen] + turn)
        return epoch, starts[chosen] + index

    return place_of


def draws(batch: int) -> Callable[[int], tuple[int, int]]:
    """Return where the n-th sample lies (step, number in the step) when every step draws `batch` samples anew."""
    return lambda number: divmod(number, batch)


def whole_batches(schedule: Schedule, first: int, last: int) -> Order:
    """Return the order of a set that makes whole batches, as tensor code on an accelerator does: one place for each.

    The place's `time` is the step, its `item` the part of the step's batch. `collate` then gets a list of one batch.
    """
    return Order(draws(schedule.accumulate), schedule, first, last, each=1)
