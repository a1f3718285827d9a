"""Samples as a network sees them in training: a window, mirrored or not, in other colours, with some phrases.

What is drawn for a sample depends on the seed, the epoch and its index, and on nothing else: any view can be made
again, in any order and in any process.

With `variants=n` a sample has n looks, a look being its window, mirroring and colours: that of an epoch is number
`epoch % n`. Phrases are drawn anew in every epoch all the same. What a frozen tower makes of a look can then be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.images import load_image
from wordmask.metrics.mirror import swap_sides
from wordmask.ops.resize import resize
from wordmask.train.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample
    from wordmask.ops.geometry import Size
    from wordmask.train.order import Place
    from wordmask.train.recipes import Recipe

__all__ = ["Batch", "Collate", "View", "Views", "cut_window", "draw_phrases"]

TRIES = 10
"""Windows tried until one shows a part of the thing that was chosen."""
LEAST_SHOWN = 0.1
"""Share of a thing that a window must show."""
_LOOK = 1
"""What follows seed, variant and index in the seed of a look: a stream apart from that of any epoch."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class View:
    """One picture and K phrases.

    Attributes:
        key: Of the sample.
        pixels: uint8 `(S, S, 3)`.
        phrases: K of them.
        masks: bool `(K, S, S)`.
        known: bool `(S, S)`, where the masks say something.
        support: float32 `(3, s, s)`, an example for the phrase, normalised; zeros where there is none, None where none
            is wanted.
        share: Of the words in the mixture with the example.
    """

    key: str
    pixels: NDArray[np.uint8]
    phrases: tuple[str, ...]
    masks: NDArray[np.bool_]
    known: NDArray[np.bool_]
    support: NDArray[np.float32] | None = None
    share: float = 1.0


class Batch(NamedTuple):
    """B pictures with K phrases each.

    Attributes:
        keys: Of the samples.
        pixels: float32 `(B, 3, S, S)`, normalised.
        phrases: B * K, a picture's phrases beside each other.
        masks: float32 `(B * K, S, S)`.
        known: float32 `(B * K, S, S)`.
        supports: float32 `(B, 3, s, s)` or None.
        shares: float32 `(B,)`.
    """

    keys: list[str]
    pixels: Tensor
    phrases: list[str]
    masks: Tensor
    known: Tensor
    supports: Tensor | None
    shares: Tensor


class Views(TorchDataset[View]):
    """A data set of wordmask for torch's `DataLoader`, indexed by `(epoch, index)`.

    Args:
        dataset: The data.
        usable: Indices that are trained on.
        recipe: How views are drawn.
        size: `(H, W)` of the canvas.
        square: Whether pictures keep their proportions.
        mean, std: Normalisation of examples.
    """

    def __init__(
        self, dataset: Dataset, usable: Sequence[int], recipe: Recipe, *, size: Size, square: bool, mean: Triple,
        std: Triple,
    ) -> None:  # fmt: skip
        self.dataset, self.usable, self.recipe = dataset, tuple(usable), recipe
        self.size, self.square, self.mean, self.std = size, square, mean, std
        self._fill = tuple(round(255 * value) for value in mean)

    def __len__(self) -> int:
        return len(self.usable)

    def __getitem__(self, place: Place) -> View:
        epoch, index = place
        if isinstance(self.dataset, PhraseDraws):
            return self._drawn(self.dataset, epoch, self.usable[index])
        seed, variants = self.recipe.seed, self.recipe.variants
        random = np.random.default_rng([seed, epoch, index])
        look = np.random.default_rng([seed, epoch % variants, index, _LOOK]) if variants else None
        return self._view(self.dataset[self.usable[index]], random, look)

    def _drawn(self, dataset: PhraseDraws, epoch: int, index: int) -> View:
        """Such data draw their samples themselves."""
        recipe = self.recipe
        draw = dataset.draw(index, epoch=epoch, variants=recipe.variants)
        support = None
        if draw.support is not None:
            support = draw.support.prompt_image(self.mean, self.std, recipe.engineering)
        return View(draw.task.key, draw.image, (draw.text,), draw.mask[None], draw.known, support, draw.text_weight)

    def _view(self, sample: Sample, random: np.random.Generator, look: np.random.Generator | None) -> View:
        """Make one view.

        Args:
            sample: What it shows.
            random: Where phrases are drawn from, and the look where it has no stream of its own.
            look: Its own stream. The window then shows a phrase of that stream, too: with this epoch's first phrase
                it would follow the epoch. What an epoch asks for may therefore lie outside, and its mask be empty.
        """
        recipe = self.recipe
        chosen = draw_phrases(sample, recipe.prompts, recipe.negatives, random)
        masks = np.stack([mask for _, mask in chosen])
        known = np.ones(sample.size, np.bool_) if sample.ignored is None else ~sample.ignored.full()
        shown = masks[0] if look is None else draw_phrases(sample, 1, recipe.negatives, look)[0][1]
        random = random if look is None else look
        window = _choose_window(shown, recipe.crop, self.square, random)
        pixels = cut_window(load_image(sample.image).pixels, window, self.size, self._fill)
        planes = np.stack([_cut_mask(plane, window, self.size) for plane in (*masks, known)])
        phrases = tuple(phrase for phrase, _ in chosen)
        if random.random() < recipe.mirror:
            pixels, planes = pixels[:, ::-1], planes[..., ::-1]
            phrases = tuple(swap_sides(phrase) for phrase in phrases)
        pixels = _recoloured(pixels, recipe.colour, random)
        return View(sample.key, np.ascontiguousarray(pixels), phrases, planes[:-1].copy(), planes[-1].copy())


def draw_phrases(
    sample: Sample, count: int, negatives: float, random: np.random.Generator
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return `count` phrases with their masks; a phrase that is not there is one the data say is absent.

    Phrases that are there come in turn before one comes twice.
    """
    there = [(phrase_of(query.prompt) or query.label, query) for query in sample.queries]
    there = [there[int(place)] for place in random.permutation(len(there))]
    absent = [sample.absent[int(place)] for place in random.permutation(len(sample.absent))]
    chosen = []
    for number in range(count):
        drawn = random.random() < negatives  # drawn in any case, so that every sample draws alike
        if absent and (drawn or not there):
            chosen.append((absent[number % len(absent)], np.zeros(sample.size, np.bool_)))
        else:
            phrase, query = there[number % len(there)]
            chosen.append((phrase, query.mask))
    return chosen


Window = tuple[int, int, int, int]
"""Top, left, height and width in pixels; it may reach beyond the picture."""


def _choose_window(mask: NDArray[np.bool_], least: float, square: bool, random: np.random.Generator) -> Window:
    """Return a random window that shows a good part of a thing, if it is there."""
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
    """Return a window of a picture, uint8 `(H, W, 3)`, resized to `size`; what lies outside is filled."""
    top, left, rows, columns = window
    inside = pixels[max(top, 0) : top + rows, max(left, 0) : left + columns]
    if inside.shape[:2] == (rows, columns):
        return resize(inside, size)
    canvas = np.empty((rows, columns, 3), np.uint8)
    canvas[:] = fill
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return resize(canvas, size)


def _cut_mask(mask: NDArray[np.bool_], window: Window, size: Size) -> NDArray[np.bool_]:
    """The same of a mask: True where more than half of what a pixel covers is; False outside."""
    top, left, rows, columns = window
    inside = mask[max(top, 0) : top + rows, max(left, 0) : left + columns]
    canvas = np.zeros((rows, columns), np.uint8)
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside * np.uint8(255)
    shrinks = rows >= size[0] and columns >= size[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=way) > 127)


def _recoloured(pixels: NDArray[np.uint8], strength: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Random brightness, contrast and saturation, each by a factor within 1 ± strength."""
    brightness, contrast, saturation = (float(random.uniform(1 - strength, 1 + strength)) for _ in range(3))
    if not strength:
        return pixels
    values = pixels.astype(np.float32) * brightness
    values = values.mean() + (values - values.mean()) * contrast
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * saturation
    recoloured: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return recoloured


class Collate:
    """Puts views together and normalises their pixels.

    Args:
        mean, std: RGB normalisation of pixels in [0, 1].
    """

    def __init__(self, mean: Triple, std: Triple) -> None:
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def __call__(self, views: list[View]) -> Batch:
        pixels = (np.stack([view.pixels for view in views]) * np.float32(1 / 255) - self.mean) / self.std
        masks = np.concatenate([view.masks for view in views]).astype(np.float32)
        known = np.concatenate([np.broadcast_to(view.known, view.masks.shape) for view in views]).astype(np.float32)
        supports: Any = [view.support for view in views]
        return Batch(
            [view.key for view in views],
            torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
            [phrase for view in views for phrase in view.phrases],
            torch.from_numpy(masks),
            torch.from_numpy(known),
            None if supports[0] is None else torch.from_numpy(np.stack(supports)),
            torch.tensor([view.share for view in views], dtype=torch.float32),
        )
