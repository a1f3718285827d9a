"""Augmentation: a random window of an image, mirroring and colours, with some of its phrases.

The random draws for a sample depend on the seed, the epoch and its index, and on nothing else.

With `variants=n` every image has n windows, mirrorings and colourings: an epoch takes number `epoch % n`. Phrases are
drawn anew in every epoch all the same. Features that a frozen encoder computes of a variant can then be cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import torch

from wordmask.batch import Batch
from wordmask.data.sampling.left_right import swap_left_right
from wordmask.data.sampling.phrase_samples import PhraseList
from wordmask.images import load_image
from wordmask.ops.resize import resize
from wordmask.settings import Ranges, Settings
from wordmask.training.data import TrainingData
from wordmask.training.inspection import phrase_of
from wordmask.training.opening import open_training_data
from wordmask.training.order import Order, epochs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.batch import Place
    from wordmask.contracts import Trainable
    from wordmask.data.sample import Sample
    from wordmask.ops.geometry import Size
    from wordmask.training.data import DataChoice, Subset
    from wordmask.training.schedule import Schedule

__all__ = [
    "Augmentation",
    "Augmented",
    "AugmentedSet",
    "choose_window",
    "collate",
    "cut_mask",
    "cut_window",
    "draw_phrases",
    "jittered",
]

TRIES = 10
"""Windows tried until one shows a part of the mask that was chosen."""
LEAST_SHOWN = 0.1
"""Part of a mask that a window must show."""
_VARIANT = 1
"""What follows seed, variant and index in the seed of a variant: a stream apart from that of any epoch."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Augmentation(Settings):
    """Settings of how samples are drawn and augmented: the `DataSettings` of fine-tuning.

    Attributes:
        prompts: Phrases for each image.
        negatives: Probability that a phrase is one known to be absent, where any is known.
        crop: Least side of the window that is cut out, as a part of the image's; 1 = no cutting.
        mirror: Probability of the mirrored image, with left and right swapped in the phrase.
        colour: Strength of random brightness, contrast and saturation; 0 = none.
        variants: Augmentations that an image has: 0 = a new one in every epoch; n = n fixed ones, that of epoch e being
            number e % n. Phrases are drawn anew all the same.
        holdout: Part of the images that is held out for validation where there are no others.
        valid_limit: Most images that a validation takes.
        shuffle: Whether the order of the images is drawn anew in every epoch.
    """

    prompts: int = 1
    negatives: float = 0.0
    crop: float = 1.0
    mirror: float = 0.0
    colour: float = 0.0
    variants: int = 0
    holdout: float = 0.0
    valid_limit: int = 100
    shuffle: bool = True

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("prompts", "valid_limit"), (1, 10**9)),
        **dict.fromkeys(("mirror", "negatives", "colour"), (0, 1)),
        "variants": (0, 10**9),
        "holdout": (0, 0.9),
        "crop": (0.05, 1),
    }

    @property
    def repeats(self) -> bool:
        """Whether augmented images come again in later epochs."""
        return bool(self.variants) or (self.crop == 1 and not self.mirror and not self.colour)

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the user's data and read every sample once.

        Raises:
            DataError: If something is wrong, or nothing is left.
        """
        opened = open_training_data(
            choice, validate=bool(schedule.valid_every), holdout=self.holdout, limit=self.valid_limit,
            seed=schedule.seed, skip_bad=skip_bad,
        )  # fmt: skip
        train = self.training_set(opened.train, model, schedule, opened.phrases)
        return TrainingData(train, opened.train, opened.validation, opened.left_out)

    def training_set(
        self, samples: Subset, model: Trainable, schedule: Schedule, phrases: Mapping[int, PhraseList]
    ) -> AugmentedSet:
        """Return the set that augments samples by these settings."""
        return AugmentedSet(samples, self, model, schedule, phrases=phrases)


@dataclass(frozen=True, eq=False)
class Augmented:
    """An augmented image with K phrases.

    Attributes:
        key: Of the sample.
        pixels: uint8 `(S, S, 3)`.
        phrases: K of them.
        masks: bool `(K, S, S)`.
        known: bool `(S, S)`, where the masks say something.
        support: float32 `(3, s, s)`, an example of the phrase, normalised; zeros where there is none, None where none
            is wanted.
        text_weight: Weight of the phrase in its mixture with the example.
    """

    key: str
    pixels: NDArray[np.uint8]
    phrases: tuple[str, ...]
    masks: NDArray[np.bool_]
    known: NDArray[np.bool_]
    support: NDArray[np.float32] | None = None
    text_weight: float = 1.0


class AugmentedSet:
    """A `TrainingSet` over a data set of wordmask: each sample comes once an epoch.

    Args:
        samples: What is trained on.
        settings: How they are augmented.
        model: Size and normalisation of its images, and whether they keep their proportions.
        schedule: Seed, batches and sizes.
        phrases: Phrases of the samples by index, as an inspection lists them; others are read when they are needed.
    """

    def __init__(
        self, samples: Subset, settings: Augmentation, model: Trainable, schedule: Schedule, *,
        phrases: Mapping[int, PhraseList] | None = None,
    ) -> None:  # fmt: skip
        self.samples, self.settings, self.schedule = samples, settings, schedule
        self.size, self.square, self.mean, self.std = model.size, model.square, model.mean, model.std
        self.name, self.split, self.images = samples.dataset.name, samples.dataset.split, len(samples.indices)
        self._phrases = dict(phrases or {})
        self._fill = tuple(round(255 * value) for value in model.mean)

    @property
    def fingerprint(self) -> str:
        """That of the data set."""
        return self.samples.dataset.fingerprint

    def __len__(self) -> int:
        return len(self.samples.indices)

    def __getitem__(self, place: Place) -> Augmented:
        epoch, index, size = place
        seed, variants = self.schedule.seed, self.settings.variants
        random = np.random.default_rng([seed, epoch, index])
        variant = np.random.default_rng([seed, epoch % variants, index, _VARIANT]) if variants else None
        return self._augmented(self._read(index), size or self.size, random, variant)

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps: every epoch in a random order."""
        place = epochs(len(self), seed=self.schedule.seed, shuffle=self.settings.shuffle)
        return Order(place, self.schedule, first, last)

    def collate(self, samples: list[Augmented]) -> Batch:
        """Put augmented samples together."""
        return collate(samples, self.mean, self.std)

    def phrases(self) -> Iterable[str]:
        """Return every phrase that may be asked, mirrored ones too."""
        phrases: set[str] = set()
        for index in self.samples.indices:
            listed = self._phrases.get(index) or PhraseList.of(self.samples.dataset[index])
            phrases.update(phrase for _, phrase in listed.present)
            if self.settings.negatives or not listed.present:
                phrases.update(listed.absent)
        return phrases | {swap_left_right(phrase) for phrase in phrases} if self.settings.mirror else phrases

    def window(self, shown: NDArray[np.bool_], random: np.random.Generator) -> Window:
        """Return the window of an image in which a mask `(H, W)` is shown."""
        return choose_window(shown, self.settings.crop, self.square, random)

    def _read(self, index: int) -> Sample:
        return self.samples.dataset[self.samples.indices[index]]

    def _augmented(
        self, sample: Sample, side: int, random: np.random.Generator, variant: np.random.Generator | None
    ) -> Augmented:
        """Augment one sample.

        Args:
            sample: Which.
            side: Of the augmented image, in pixels.
            random: Where phrases are drawn from, and the window where it has no stream of its own.
            variant: Stream of a variant. The window then shows a phrase of that stream, too: with this epoch's first
                phrase it would follow the epoch. What an epoch asks for may therefore lie outside, and its mask be
                empty.
        """
        settings, size = self.settings, (side, side)
        chosen = draw_phrases(sample, settings.prompts, settings.negatives, random)
        masks = np.stack([mask for _, mask in chosen])  # (K, H, W)
        known = np.ones(sample.size, np.bool_) if sample.ignored is None else ~sample.ignored.full()
        shown = masks[0] if variant is None else draw_phrases(sample, 1, settings.negatives, variant)[0][1]
        random = random if variant is None else variant
        window = self.window(shown, random)
        pixels = cut_window(load_image(sample.image).pixels, window, size, self._fill)  # (S, S, 3)
        planes = np.stack([cut_mask(plane, window, size) for plane in (*masks, known)])  # (K + 1, S, S)
        phrases = tuple(phrase for phrase, _ in chosen)
        if random.random() < settings.mirror:
            pixels, planes = pixels[:, ::-1], planes[..., ::-1]
            phrases = tuple(swap_left_right(phrase) for phrase in phrases)
        pixels = np.ascontiguousarray(jittered(pixels, settings.colour, random))
        return Augmented(sample.key, pixels, phrases, planes[:-1].copy(), planes[-1].copy())


def draw_phrases(
    sample: Sample, count: int, negatives: float, random: np.random.Generator
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return `count` phrases with their masks; negatives are phrases that the data say are absent.

    Each phrase that is present comes once before one comes twice.
    """
    present = [(phrase_of(query.prompt) or query.label, query) for query in sample.queries]
    present = [present[int(place)] for place in random.permutation(len(present))]
    absent = [sample.absent[int(place)] for place in random.permutation(len(sample.absent))]
    chosen = []
    for number in range(count):
        drawn = random.random() < negatives  # drawn in any case, so that every sample draws alike
        if absent and (drawn or not present):
            chosen.append((absent[number % len(absent)], np.zeros(sample.size, np.bool_)))
        else:
            phrase, query = present[number % len(present)]
            chosen.append((phrase, query.mask))
    return chosen


Window = tuple[int, int, int, int]
"""Top, left, height and width in pixels; it may reach beyond the image."""


def choose_window(mask: NDArray[np.bool_], least: float, square: bool, random: np.random.Generator) -> Window:
    """Return a random window that shows a good part of a mask, if there is any."""
    height, width = mask.shape
    total = np.count_nonzero(mask)
    for _ in range(TRIES):
        window = _draw_window((height, width), float(random.uniform(least, 1)), square, random)
        top, left, rows, columns = window
        shown = np.count_nonzero(mask[max(top, 0) : top + rows, max(left, 0) : left + columns])
        if shown >= LEAST_SHOWN * total:
            return window
    return _draw_window((height, width), 1.0, square, random)


def _draw_window(size: Size, scale: float, square: bool, random: np.random.Generator) -> Window:
    sides = (max(size), max(size)) if square else size
    rows, columns = (max(1, round(side * scale)) for side in sides)
    top, left = (int(random.integers(min(room, 0), max(room, 0) + 1)) for room in (size[0] - rows, size[1] - columns))
    return top, left, rows, columns


def cut_window(
    pixels: NDArray[np.uint8], window: Window, size: Size, fill: tuple[int, ...] = (0, 0, 0)
) -> NDArray[np.uint8]:
    """Return a window of an image, uint8 `(H, W, 3)`, resized to `size`; what lies outside is filled."""
    top, left, rows, columns = window
    inside = pixels[max(top, 0) : top + rows, max(left, 0) : left + columns]
    if inside.shape[:2] == (rows, columns):
        return resize(inside, size)
    canvas = np.empty((rows, columns, 3), np.uint8)
    canvas[:] = fill
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return resize(canvas, size)


def cut_mask(mask: NDArray[np.bool_], window: Window, size: Size) -> NDArray[np.bool_]:
    """Return a window of a mask: True where more than half of what a pixel covers is; False outside."""
    top, left, rows, columns = window
    inside = mask[max(top, 0) : top + rows, max(left, 0) : left + columns]
    canvas = np.zeros((rows, columns), np.uint8)
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside * np.uint8(255)
    shrinks = rows >= size[0] and columns >= size[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=way) > 127)


def jittered(pixels: NDArray[np.uint8], strength: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation, each by a random factor within 1 ± strength."""
    brightness, contrast, saturation = (float(random.uniform(1 - strength, 1 + strength)) for _ in range(3))
    if not strength:
        return pixels
    values = pixels.astype(np.float32) * brightness
    values = values.mean() + (values - values.mean()) * contrast
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * saturation
    changed: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return changed


def collate(samples: Sequence[Augmented], mean: Triple, std: Triple) -> Batch:
    """Put augmented samples together and normalise their pixels.

    A phrase is present where its mask has a known pixel. Where all of its mask is unknown, so is its presence.

    Args:
        samples: B of them.
        mean: Of the RGB normalisation of pixels in [0, 1].
        std: Of the same.
    """
    centre, spread = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    pixels = (np.stack([sample.pixels for sample in samples]) * np.float32(1 / 255) - centre) / spread
    masks = np.concatenate([sample.masks for sample in samples])  # (P, S, S)
    known = np.concatenate([np.broadcast_to(sample.known, sample.masks.shape) for sample in samples])
    present = (masks & known).any(axis=(1, 2))  # (P,)
    unsure = masks.any(axis=(1, 2)) & ~present
    supports: Any = [sample.support for sample in samples]
    return Batch(
        keys=[sample.key for sample in samples],
        pixels=torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
        phrases=[phrase for sample in samples for phrase in sample.phrases],
        masks=torch.from_numpy(masks.astype(np.float32)),
        known=torch.from_numpy(known.astype(np.float32)),
        presence=torch.from_numpy(present.astype(np.float32)),
        presence_weights=torch.from_numpy((~unsure).astype(np.float32)),
        supports=None if supports[0] is None else torch.from_numpy(np.stack(supports)),
        text_weights=torch.tensor([sample.text_weight for sample in samples], dtype=torch.float32),
    )
