"""The segmenter of every method that turns one condition vector into one dense mask.

It adds to a `DenseModel` all that is the same for CLIPSeg and the compact network: reading and placing pictures,
encoding each once, keeping the conditions of phrases, decoding in chunks of bounded memory, negatives and results.
"""

from __future__ import annotations

import itertools
import math
import operator
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.contracts import DenseModel, Encoded
from wordmask.errors import ImageError, PromptError, UnsupportedPromptError, quote, sentence
from wordmask.images import ImageInput, RgbImage, load_image
from wordmask.ops.probability import best_level
from wordmask.ops.resize import place
from wordmask.prompts import MixedPrompt, Prompt, PromptInput, TextPrompt, VisualPrompt, as_prompts
from wordmask.results import Found, MaskLogits, Segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Placement

PHRASES_KEPT = 4096
"""Phrases whose condition is remembered (8 MiB at 512 channels); the one unused for longest goes first."""
SMOOTHING = 1 / 22
"""Side of the squares that a logit map is averaged over before its peak is taken for a presence, as a share of the
map's shorter side: one token of CLIPSeg at 352 px."""
LOWEST = 1e-8
"""What stands for the threshold 0 where a prompt has negatives: a probability that float32 heatmaps round to 0."""


@runtime_checkable
class EmbedsTexts(Protocol):
    """A dense model that is faster at many phrases together than at one after the other."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the conditions `(P, C)` of phrases."""
        ...


@dataclass(frozen=True)
class Plan:
    """What to decode for a list of prompts: each different condition once.

    Attributes:
        prompts: As asked.
        conditions: (U, C), without repetition.
        own: For each prompt, the row of its condition.
        negatives: For each prompt, the rows of its negatives.
    """

    prompts: tuple[Prompt, ...]
    conditions: Tensor
    own: tuple[int, ...]
    negatives: tuple[tuple[int, ...], ...]


class DenseSegmenter:
    """A `Segmenter` made from a `DenseModel`.

    A text prompt's negatives are dense too: a pixel stays in the mask only where the prompt's logit is higher than
    that of every negative, even at the threshold 0 (which then becomes `LOWEST`); a mask's own level is that of what
    remains. A model without a presence head answers, as an uncalibrated presence, the highest probability of its
    heatmap after smoothing.

    Calls leave no trace but remembered conditions of prompts, so a segmenter can serve several threads.

    Args:
        model: The network, in evaluation mode, on `device` and in `dtype`.
        device: Where the pictures go.
        dtype: In which precision the model computes; pixels and logits are float32 in any case.
    """

    joint_vocabulary = False
    trainable = False
    exportable = False

    def __init__(
        self, model: DenseModel, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.model = model
        self.device = torch.device(device)
        self.dtype = dtype
        self._phrases: dict[str, Tensor] = {}
        self._examples: WeakKeyDictionary[Prompt, Tensor] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def accepts(self) -> frozenset[type]:
        """The prompt types the model follows."""
        return self.model.accepts

    def encode(self, image: ImageInput) -> Encoded:
        """Return what the image encoder makes of a picture; `segment` takes it in the picture's place.

        Raises:
            ImageError: If the picture cannot be read.
        """
        return next(iter(self._encode_all([load_image(image)])))

    def segment(
        self,
        image: ImageInput | Encoded,
        prompts: PromptInput,
        *,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Segmentation:
        """Return one `Found` per prompt, in order.

        Args:
            image: A picture, or what `encode` made of one.
            prompts: A phrase or prompt, or several.
            threshold: Probability above which a pixel belongs to a mask; None takes the model's, which may be a level
                of its own for each mask (`ops.probability.best_level`).
            presence_threshold: Presence below which a mask is empty; None takes the model's.

        Raises:
            ImageError: If the picture cannot be read, or was encoded with other weights; another device or precision
                will do.
            PromptError: If a prompt is blank or of a kind that the model does not follow, or the threshold is none.
        """
        level = self._level(threshold)
        plan = self._plan(prompts)
        if not isinstance(image, Encoded):
            image = self.encode(image)
        image.require(self.name)
        return self._answer(image, plan, level, self._presence_limit(presence_threshold))

    def segment_many(
        self,
        images: Iterable[ImageInput],
        prompts: PromptInput,
        *,
        batch_size: int = 8,
        threshold: float | None = None,
        presence_threshold: float | None = None,
    ) -> Iterator[Segmentation]:
        """Yield one `Segmentation` per picture, in order; `batch_size` pictures are read and encoded together.

        Raises:
            ImageError: If a picture cannot be read (when its turn comes), or `images` is a single one.
            PromptError: As in `segment`, or for a batch size that is none, at once.
        """
        if _is_single(images):
            got = f"a single picture ({quote(images) if isinstance(images, str) else type(images).__name__})"
            raise ImageError(sentence(got, "several", "pass a list of pictures, or call segment for one"))
        size = _batch_size(batch_size)
        return self._segment_all(
            iter(images), self._plan(prompts), size, self._level(threshold), self._presence_limit(presence_threshold)
        )

    def _segment_all(
        self, images: Iterator[ImageInput], plan: Plan, batch_size: int, level: float | None, limit: float
    ) -> Iterator[Segmentation]:
        while batch := [load_image(image) for image in itertools.islice(images, batch_size)]:
            for encoded in self._encode_all(batch):
                yield self._answer(encoded, plan, level, limit)

    def _encode_all(self, pictures: list[RgbImage]) -> list[Encoded]:
        """Encode pictures; those of equal canvas go through the network together."""
        placements = [self.model.canvas(picture.size) for picture in pictures]
        features: dict[int, Any] = {}
        for canvas in dict.fromkeys(placement.canvas for placement in placements):
            chosen = [index for index, placement in enumerate(placements) if placement.canvas == canvas]
            pixels = torch.stack([self._pixels(pictures[index], placements[index]) for index in chosen])
            with torch.inference_mode():
                together = self.model.encode_pixels(pixels)
            features |= {index: _one(together, row) for row, index in enumerate(chosen)}
        return [
            Encoded(picture.size, placement, features[index], picture, self.name)
            for index, (picture, placement) in enumerate(zip(pictures, placements, strict=True))
        ]

    def _pixels(self, picture: RgbImage, placement: Placement) -> Tensor:
        """Normalised float32 pixels (3, h, w) of a picture on its canvas, padded with the mean colour."""
        mean, std = self.model.mean, self.model.std
        red, green, blue = (round(255 * value) for value in mean)
        canvas = place(picture.pixels, placement, fill=(red, green, blue))
        values = (canvas * np.float32(1 / 255) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
        return torch.from_numpy(values).permute(2, 0, 1).to(self.device)

    def _plan(self, prompts: PromptInput) -> Plan:
        asked = as_prompts(prompts)
        for prompt in asked:
            if type(prompt) not in self.accepts:
                known = " or ".join(sorted(kind.__name__ for kind in self.accepts))
                got = f"the {type(prompt).__name__} {quote(prompt.name)} for {self.name}"
                raise UnsupportedPromptError(
                    sentence(got, known, "ask in another way, or load a model that follows it")
                )
        sources = [(_source(prompt), tuple(_negatives(prompt))) for prompt in asked]
        unique = {_key(source): source for own, others in sources for source in (own, *others)}
        rows = {key: row for row, key in enumerate(unique)}
        return Plan(
            asked,
            self._conditions(list(unique.values())),
            tuple(rows[_key(own)] for own, _ in sources),
            tuple(tuple(rows[_key(other)] for other in others) for _, others in sources),
        )

    @torch.inference_mode()
    def _conditions(self, sources: list[str | Prompt]) -> Tensor:
        """Conditions (U, C) of phrases and examples, remembered ones as they are."""
        texts = [source for source in sources if isinstance(source, str)]
        found = {text: condition for text in texts if (condition := self._phrases.pop(text, None)) is not None}
        fresh = [text for text in texts if text not in found]
        found |= dict(zip(fresh, self._embed_texts(fresh), strict=True))
        self._phrases |= found
        for oldest in list(itertools.islice(self._phrases, max(0, len(self._phrases) - PHRASES_KEPT))):
            self._phrases.pop(oldest, None)
        return torch.stack([found[s] if isinstance(s, str) else self._example(s) for s in sources])

    def _embed_texts(self, texts: list[str]) -> Sequence[Tensor]:
        if isinstance(self.model, EmbedsTexts) and texts:
            return [row.clone() for row in self.model.embed_texts(texts)]  # copies: one kept phrase keeps one row
        return [self.model.embed_prompt(TextPrompt(text)) for text in texts]

    def _example(self, prompt: Prompt) -> Tensor:
        condition = self._examples.get(prompt)
        if condition is None:
            condition = self._examples[prompt] = self.model.embed_prompt(prompt)
        return condition

    @torch.inference_mode()
    def _answer(self, encoded: Encoded, plan: Plan, level: float | None, limit: float) -> Segmentation:
        """Decode, chunk by chunk, and put the results together."""
        features = _mapped(encoded.features, lambda tensor: tensor.to(plan.conditions))
        logits, presences = self._decode(features, plan.conditions)
        founds = []
        for prompt, own, negatives in zip(plan.prompts, plan.own, plan.negatives, strict=True):
            rival = np.maximum.reduce([logits[row] for row in negatives]) if negatives else None
            values = logits[own]
            cut = _level_of(values, rival, encoded.placement) if level is None else level
            if rival is not None:
                cut = max(cut, LOWEST)
                values = _without(values, rival, cut)
            presence = _peak(values, encoded.placement) if presences is None else float(presences[own])
            founds.append(
                Found(
                    prompt,
                    presence,
                    threshold=cut,
                    presence_threshold=limit,
                    size=encoded.size,
                    heatmap_logits=MaskLogits(values, encoded.placement),
                )
            )
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _decode(self, features: Any, conditions: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits (U, h, w) and, where the model has them, presences (U,) of one picture."""
        logits: NDArray[np.float32] | None = None
        presences: list[Tensor] = []
        for start in range(0, len(conditions), self.model.chunk):
            rows = slice(start, start + self.model.chunk)
            output = self.model.decode(features, conditions[rows])
            if logits is None:
                logits = np.empty((len(conditions), *output.logits.shape[1:]), dtype=np.float32)
            torch.from_numpy(logits[rows]).copy_(output.logits)
            if output.presence is not None:
                presences.append(self.model.calibrate_presence(output.presence.float()).cpu())
        assert logits is not None
        return logits, torch.cat(presences).numpy() if presences else None

    def _level(self, threshold: float | None) -> float | None:
        """The threshold asked for or, where none was, the model's; None is a level of its own for each mask."""
        chosen = self.model.threshold if threshold is None else threshold
        return None if chosen is None else _probability(chosen, "threshold")

    def _presence_limit(self, threshold: float | None) -> float:
        return _probability(self.model.presence_threshold if threshold is None else threshold, "presence_threshold")


def _is_single(images: Any) -> bool:
    """Whether something is one picture where many are meant; arrays of up to three dimensions are one."""
    named = isinstance(images, str | bytes | os.PathLike | RgbImage | Encoded) or hasattr(images, "read")
    return named or not isinstance(images, Iterable) or getattr(images, "ndim", 4) <= 3


def _probability(value: Any, name: str) -> float:
    """A number from 0 to 1, or a PromptError."""
    try:
        probability = float(value)
    except (TypeError, ValueError, OverflowError):
        probability = math.nan
    if not 0 <= probability <= 1:
        got = f"the {name.replace('_', ' ')} {quote(value)}"
        raise PromptError(sentence(got, "a probability from 0 to 1", f"pass for example {name}=0.5"))
    return probability


def _batch_size(value: Any) -> int:
    """A whole number from 1, or a PromptError."""
    try:
        size = operator.index(value)
    except TypeError:
        size = 0
    if not 1 <= size <= sys.maxsize:
        got = f"the batch size {quote(value)} ({type(value).__name__})"
        raise PromptError(sentence(got, "a whole number from 1", "pass for example batch_size=8"))
    return size


def _source(prompt: Prompt) -> str | Prompt:
    """What a prompt's condition depends on: the phrase, or the very object of an example."""
    return prompt.text if isinstance(prompt, TextPrompt) else prompt


def _negatives(prompt: Prompt) -> tuple[str, ...]:
    if isinstance(prompt, VisualPrompt):
        return ()
    return (prompt.phrase if isinstance(prompt, MixedPrompt) else prompt).negatives


def _key(source: str | Prompt) -> object:
    return source if isinstance(source, str) else id(source)


def _one(features: Any, row: int) -> Any:
    """One picture's part of a tree of tensors; the leading dimension stays, with length 1."""
    return _mapped(features, lambda tensor: tensor[row : row + 1])


def _mapped(features: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tree of tensors of the same build, each tensor changed."""
    if isinstance(features, Tensor):
        return change(features)
    if isinstance(features, dict):
        return {key: _mapped(value, change) for key, value in features.items()}
    parts = [_mapped(value, change) for value in features]
    build: Callable[..., Any] = type(features)
    return build(*parts) if hasattr(features, "_fields") else build(parts)


def _level_of(logits: NDArray[np.float32], rival: NDArray[np.float32] | None, placement: Placement) -> float:
    """The level of a mask's own, of the part of the map that shows the picture and where no negative is higher."""
    left = logits if rival is None else np.where(logits > rival, logits, np.float32(-np.inf))
    return best_level(_inside(left, placement))


def _without(logits: NDArray[np.float32], rival: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Lower the logits where the highest negative's are higher, so that exactly those pixels fall below the threshold.

    With t the threshold's logit, min(own, own - highest negative + t) exceeds t where own exceeds both t and the
    negatives, and it changes smoothly across the border between them, so it can be interpolated.
    """
    limit = math.log(level / (1 - level)) if level < 1 else 0.0
    lowered: NDArray[np.float32] = np.minimum(logits, logits - rival + np.float32(limit))
    return lowered


def _inside(logits: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """The part of a map over the canvas that shows the picture; at least one cell."""
    (top, left, height, width), canvas = placement.content, placement.canvas
    down, across = logits.shape[0] / canvas[0], logits.shape[1] / canvas[1]
    rows = slice(int(top * down), max(int(top * down) + 1, math.ceil((top + height) * down)))
    columns = slice(int(left * across), max(int(left * across) + 1, math.ceil((left + width) * across)))
    return logits[rows, columns]


def _peak(logits: NDArray[np.float32], placement: Placement) -> float:
    """Highest probability of a smoothed map, inside the picture.

    Squares that overlap by half are averaged as two by two cells of half their side: 0.09 ms for 0.31 at 352 px.
    """
    inside = torch.from_numpy(_inside(logits, placement))
    half = max(1, round(min(inside.shape) * SMOOTHING / 2))
    smooth = F.avg_pool2d(inside[None, None], half)
    smooth = F.avg_pool2d(smooth, [min(2, side) for side in smooth.shape[2:]], stride=1)
    return float(smooth.amax().sigmoid())
