"""Which sample comes when: a function of seed and step alone, so that any run can go on from any step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Place = tuple[int, int]
"""Epoch and index of a sample."""


class Order:
    """A batch sampler for torch's `DataLoader`: the parts of the batches of steps `start` to `stop`.

    Args:
        count: Number of samples.
        batch: Places in a part, over all processes.
        start: First part.
        stop: Part after the last.
        seed: Of the order.
        shuffle: Whether the order is drawn anew in every epoch; otherwise it is the data set's.
    """

    drop_last = False

    def __init__(self, count: int, batch: int, start: int, stop: int, *, seed: int, shuffle: bool = True) -> None:
        self.count, self.batch_size, self.start, self.stop = count, batch, start, stop
        self._seed, self._shuffle = seed, shuffle
        self._drawn: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Place]]:
        for part in range(self.start, self.stop):
            first = part * self.batch_size
            yield [self.place(position) for position in range(first, first + self.batch_size)]

    def place(self, position: int) -> Place:
        """Return what comes at a position of the whole training."""
        epoch, within = divmod(position, self.count)
        return epoch, int(self._epoch(epoch)[within])

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        if not self._shuffle:
            return np.arange(self.count)
        if self._drawn[0] != epoch:
            self._drawn = (epoch, np.random.default_rng([self._seed, epoch]).permutation(self.count))
        return self._drawn[1]
