"""The segmenter of methods that turn one prompt embedding into one dense mask: CLIPSeg and the compact network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from wordmask.components.negatives import LOWEST_THRESHOLD, negatives_of, suppress
from wordmask.components.presence import peak_presence
from wordmask.components.thresholds import own_threshold
from wordmask.components.weak_parts import without_weak_parts
from wordmask.methods.prompt_cache import PromptCache
from wordmask.methods.runner import MethodRunner, map_tensors
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Found, MaskLogits, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import DenseModel, Encoded
    from wordmask.ops.geometry import Placement


@runtime_checkable
class EmbedsTexts(Protocol):
    """A dense model that embeds many phrases together faster than one after the other."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings `(P, C)` of phrases."""
        ...


@runtime_checkable
class RemovesWeakParts(Protocol):
    """A dense model whose masks lose weak parts where they have a threshold of their own (`components.weak_parts`).

    Attributes:
        weak_part_ratio: Fraction of the strongest part's probability that a part must reach; None: all parts stay.
    """

    @property
    def weak_part_ratio(self) -> float | None: ...


@runtime_checkable
class SharesPixels(Protocol):
    """A dense model with calibrated presence, whose names share the pixels of a label map (`Found.label_threshold`).

    Attributes:
        label_threshold: Product of presence and probability that a pixel of a name must exceed; None: any of its mask.
    """

    @property
    def label_threshold(self) -> float | None: ...


@runtime_checkable
class KeepsLess(Protocol):
    """A dense model that decodes from a part of its features."""

    def features_to_keep(self, features: Any) -> Any:
        """Return features without what `decode` does not read."""
        ...


@dataclass(frozen=True)
class DensePlan:
    """What to decode for a list of prompts: each different embedding once.

    Attributes:
        prompts: The prompts, in order.
        embeddings: (U, C), without repetition.
        own: For each prompt, the row of its embedding.
        negatives: For each prompt, the rows of its negatives.
    """

    prompts: tuple[Prompt, ...]
    embeddings: Tensor
    own: tuple[int, ...]
    negatives: tuple[tuple[int, ...], ...]


class DenseSegmenter(MethodRunner[DensePlan]):
    """A `Segmenter` made from a `DenseModel`.

    Negatives of a text prompt are dense too: a pixel stays in the mask only where the prompt's logit is higher than
    that of every negative, even at the threshold 0 (which then becomes `LOWEST_THRESHOLD`); a threshold of a mask's own
    is that of the remaining pixels. A model without a presence head gives, as an uncalibrated presence, the highest
    probability of its heatmap after smoothing.

    Prompts are decoded in chunks of bounded memory. Only prompt embeddings are kept between calls, so one segmenter
    can serve several threads.

    Args:
        model: The network, in evaluation mode, on `device` and in `dtype`.
        device: Device of the pixels.
        dtype: Precision of the model; pixels and logits are float32 in any case.
    """

    trainable = True

    def __init__(
        self, model: DenseModel, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(model, device=device, dtype=dtype)
        self.model = model
        self.exportable = bool(getattr(model, "exportable", False))
        self.prompt_cache = PromptCache(self._embed_texts, model.embed_prompt)
        self.weak_part_ratio = model.weak_part_ratio if isinstance(model, RemovesWeakParts) else None
        self.label_threshold = model.label_threshold if isinstance(model, SharesPixels) else None

    def features_to_keep(self, features: Any) -> Any:
        """Return what answers need of an image's features: what a feature cache keeps."""
        return self.model.features_to_keep(features) if isinstance(self.model, KeepsLess) else features

    def prepare(self, prompts: tuple[Prompt, ...]) -> DensePlan:
        """Embed the prompts and their negatives, each different one once."""
        sources = [(_source(prompt), negatives_of(prompt)) for prompt in prompts]
        unique = {_key(source): source for own, others in sources for source in (own, *others)}
        rows = {key: row for row, key in enumerate(unique)}
        return DensePlan(
            prompts,
            self.prompt_cache.embeddings(list(unique.values())),
            tuple(rows[_key(own)] for own, _ in sources),
            tuple(tuple(rows[_key(other)] for other in others) for _, others in sources),
        )

    def answer(self, encoded: Encoded, plan: DensePlan, thresholds: Thresholds) -> Segmentation:
        """Decode the prompts, and apply negatives and thresholds."""
        features = map_tensors(encoded.features, lambda tensor: tensor.to(plan.embeddings))
        logits, presences = self._decode(features, plan.embeddings)
        founds = []
        for prompt, own, negatives in zip(plan.prompts, plan.own, plan.negatives, strict=True):
            presence = None if presences is None else float(presences[own])
            strongest = np.maximum.reduce([logits[row] for row in negatives]) if negatives else None
            founds.append(self._found(prompt, logits[own], strongest, presence, encoded, thresholds))
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _embed_texts(self, texts: list[str]) -> Sequence[Tensor]:
        if isinstance(self.model, EmbedsTexts) and texts:
            return [row.clone() for row in self.model.embed_texts(texts)]  # copies: one kept phrase keeps one row
        return [self.model.embed_prompt(TextPrompt(text)) for text in texts]

    def _decode(self, features: Any, embeddings: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits (U, h, w) and, where the model has them, presences (U,) of one image."""
        logits: NDArray[np.float32] | None = None
        presences: list[Tensor] = []
        for start in range(0, len(embeddings), self.model.chunk):
            rows = slice(start, start + self.model.chunk)
            output = self.model.decode(features, embeddings[rows])
            if logits is None:
                logits = np.empty((len(embeddings), *output.logits.shape[1:]), dtype=np.float32)
            torch.from_numpy(logits[rows]).copy_(output.logits)
            if output.presence is not None:
                presences.append(self.model.calibrate_presence(output.presence.float()).cpu())
        assert logits is not None
        return logits, torch.cat(presences).numpy() if presences else None

    def _found(
        self, prompt: Prompt, logits: NDArray[np.float32], negative: NDArray[np.float32] | None,
        presence: float | None, encoded: Encoded, thresholds: Thresholds,
    ) -> Found:  # fmt: skip
        """The result of one prompt from its logits (h, w) and those of its strongest negative (h, w)."""
        placement, threshold = encoded.placement, thresholds.mask
        if threshold is None:
            logits, threshold = self._own_threshold(logits, placement, negative)
        if negative is not None:
            threshold = max(threshold, LOWEST_THRESHOLD)
            logits = suppress(logits, negative, threshold=threshold)
        return Found(
            prompt,
            peak_presence(logits, placement) if presence is None else presence,
            threshold=threshold,
            presence_threshold=thresholds.presence,
            size=encoded.size,
            heatmap_logits=MaskLogits(logits, placement),
            label_threshold=self.label_threshold if thresholds.mask is None and thresholds.presence else None,
        )

    def _own_threshold(
        self, logits: NDArray[np.float32], placement: Placement, negative: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], float]:
        """Logits (h, w), without weak parts where the model removes them, and the mask's own threshold."""
        if self.weak_part_ratio is None:
            return logits, own_threshold(logits, placement, negative=negative)
        return without_weak_parts(logits, placement, self.weak_part_ratio, negative=negative)


def _source(prompt: Prompt) -> str | Prompt:
    """What a prompt's embedding depends on: the phrase, or the very object of a visual or mixed prompt."""
    return prompt.text if isinstance(prompt, TextPrompt) else prompt


def _key(source: str | Prompt) -> object:
    return source if isinstance(source, str) else id(source)
