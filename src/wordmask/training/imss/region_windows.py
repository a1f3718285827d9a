"""Training windows for box-prompted masks: a part of them lie round one target, at the scales of zooming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from wordmask.ops import boxes
from wordmask.training.augmentation import Augmentation, AugmentedSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wordmask.contracts import Trainable
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.settings import Ranges
    from wordmask.training.augmentation import Window
    from wordmask.training.data import Subset
    from wordmask.training.schedule import Schedule

__all__ = ["RegionWindows", "target_window"]

SCALES = (1.2, 3.0)
"""Side of a window round a target, as multiples of the longer side of its box."""
SHORTEST = 64
"""Shortest side of such a window in pixels."""


@dataclass(frozen=True, kw_only=True)
class RegionWindows(Augmentation):
    """Settings of how samples are drawn and augmented, with windows round targets.

    Attributes:
        zoom: Part of the images of which a square window round the first phrase's mask is shown, 1.2 to 3 times its
            box: without such windows a model that zooms in use loses what it gains.
    """

    zoom: float = 0.5

    ranges: ClassVar[Ranges] = {**Augmentation.ranges, "zoom": (0, 1)}

    @property
    def repeats(self) -> bool:
        """Whether augmented images come again in later epochs."""
        return bool(self.variants) or (super().repeats and not self.zoom)

    def training_set(
        self, samples: Subset, model: Trainable, schedule: Schedule, phrases: Mapping[int, PhraseList]
    ) -> AugmentedSet:
        """Return the set that augments samples by these settings."""
        return WindowedSet(samples, self, model, schedule, phrases=phrases)


class WindowedSet(AugmentedSet):
    """An `AugmentedSet` whose windows lie round a target with the probability `zoom`."""

    def window(self, shown: NDArray[np.bool_], random: np.random.Generator) -> Window:
        """Return a random window that shows a good part of a mask."""
        assert isinstance(self.settings, RegionWindows)
        if random.random() < self.settings.zoom and shown.any():
            return target_window(shown, random)
        return super().window(shown, random)


def target_window(mask: NDArray[np.bool_], random: np.random.Generator) -> Window:
    """Return a square window round a mask that is not empty, at a random scale, moved at random but showing all of it.

    Args:
        mask: bool `(H, W)`.
        random: Random numbers.
    """
    box = boxes.from_mask(mask)
    assert box is not None
    x0, y0, x1, y1 = box
    side = max(SHORTEST, round(float(random.uniform(*SCALES)) * max(x1 - x0, y1 - y0)))
    left, top = (
        round(float(random.uniform(min(end - side, start), start))) for start, end in ((x0, x1), (y0, y1))
    )  # fmt: skip
    return top, left, side, side
