"""The segmenter of TAS: referring expressions answered by scored proposals, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wordmask.methods.runner import MethodRunner
from wordmask.methods.tas.expressions import Expression, is_near_synonym, read_expression
from wordmask.methods.tas.scores import RegionScores, best_index, tas_score
from wordmask.methods.tas.settings import TasSettings
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Candidate, Found, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import Encoded
    from wordmask.images import RgbImage
    from wordmask.methods.tas.regions import RegionSet, TasFeatures

__all__ = ["RegionModel", "TasPlan", "TasSegmenter"]

TEMPLATE = "a photo of {}"
"""How negative noun phrases are asked; expressions are asked as they are."""


class RegionModel(Protocol):
    """What `TasSegmenter` runs: proposals in an image, and vectors of regions and texts in one space.

    Attributes:
        name: Name in messages and results.
    """

    @property
    def name(self) -> str: ...

    def encode(self, image: RgbImage) -> Encoded:
        """Return the `TasFeatures` of an image, computed once for all expressions."""
        ...

    def regions(self, encoded: Encoded, phrase: str) -> RegionSet:
        """Return the regions that are scored for a phrase."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, C) of texts."""
        ...

    def presence(self, encoded: Encoded, phrase: str) -> float:
        """Return the probability that an image shows a phrase; 1 where the model cannot tell."""
        ...


@dataclass(frozen=True, eq=False)
class TasPlan:
    """The expressions of a call.

    Attributes:
        expressions: One per prompt.
        vectors: For each text that is scored, its unit vector (C,).
    """

    expressions: tuple[Expression, ...]
    vectors: dict[str, Tensor]


class _Facts:
    """What the generic runner asks of a network; TAS encodes images by itself."""

    accepts = frozenset({TextPrompt})
    mean = std = (0.5, 0.5, 0.5)
    threshold = 0.5
    presence_threshold = 0.0

    def __init__(self, name: str) -> None:
        self.name = name


class TasSegmenter(MethodRunner[TasPlan]):
    """Answer each expression with the proposal that scores best, after words of place.

    A referring expression presumes that its object is there: the presence threshold is 0 unless the caller gives one.

    Args:
        model: Proposals and vectors.
        settings: Weights and rules.
        device: Device of the model.
        dtype: Precision of the model.
    """

    def __init__(
        self,
        model: RegionModel,
        settings: TasSettings | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        import torch

        super().__init__(_Facts(model.name), device=device, dtype=dtype or torch.float32)  # type: ignore[arg-type]
        self.model = model
        self.settings = settings or TasSettings()

    def prepare(self, prompts: tuple[Prompt, ...]) -> TasPlan:
        """Read the expressions and embed everything that does not depend on an image."""
        expressions = tuple(read_expression(prompt) for prompt in prompts if isinstance(prompt, TextPrompt))
        asked = [self._asked(one) for one in expressions]
        texts = list(dict.fromkeys([*asked, *(text for one in expressions for text in negatives_asked(one))]))
        vectors = self.model.embed_texts(texts)
        return TasPlan(expressions, dict(zip(texts, vectors, strict=True)))

    def _encode_all(self, images: list[RgbImage]) -> list[Encoded]:
        import torch

        with torch.inference_mode():
            return [self.model.encode(image) for image in images]

    def _asked(self, expression: Expression) -> str:
        """The text that regions are compared with: the sentence, or without the words of place that are applied."""
        return expression.target if self.settings.rectifier == "intended" else expression.sentence

    def answer(self, encoded: Encoded, plan: TasPlan, thresholds: Thresholds) -> Segmentation:
        """Score the regions for every expression and choose."""
        founds = [self._found(encoded, plan, expression, thresholds) for expression in plan.expressions]
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _found(self, encoded: Encoded, plan: TasPlan, expression: Expression, thresholds: Thresholds) -> Found:
        regions = self.model.regions(encoded, expression.target)
        scores = self.scores(encoded.features, regions, expression, plan)
        chosen = {best_index(scores.total)} if len(regions) else set[int]()
        presence = self.model.presence(encoded, expression.target) if len(regions) else 0.0
        candidates = self._candidates(regions, scores, chosen)
        return Found(
            expression.prompt,
            presence,
            threshold=0.5 if thresholds.mask is None else thresholds.mask,
            presence_threshold=thresholds.presence,
            size=encoded.size,
            regions=tuple(one.region for one in candidates if one.chosen),
            candidates=candidates,
        )

    def scores(self, features: TasFeatures, regions: RegionSet, expression: Expression, plan: TasPlan) -> RegionScores:
        """Return the scores of regions for an expression."""
        asked = plan.vectors[self._asked(expression)].to(regions.vectors)
        others = self._negatives(features, expression, plan)
        return tas_score(
            _array(regions.vectors @ asked),
            _array(regions.captions @ asked),
            _array(regions.vectors @ others.T.to(regions.vectors)) if others is not None else None,
            weights=self.settings.weights,
        )

    def _negatives(self, features: TasFeatures, expression: Expression, plan: TasPlan) -> Tensor | None:
        """Unit vectors (K, C) of what the regions must not be: the user's negatives, or noun phrases of the caption."""
        import torch

        if expression.prompt.negatives:
            return torch.stack([plan.vectors[text] for text in negatives_asked(expression)])
        phrases = features.texts()[1]
        others = [
            place
            for place, phrase in enumerate(phrases)
            if not is_near_synonym(phrase, expression, self.settings.synonyms)
        ]
        return features.phrases[others] if others else None

    def _candidates(self, regions: RegionSet, scores: RegionScores, chosen: set[int]) -> tuple[Candidate, ...]:
        values = _softmax(self.settings.scale * scores.total)
        return tuple(
            Candidate(
                Region(mask, float(values[index]), regions.quality[index], mask.box),
                scores.parts(index),
                chosen=index in chosen,
            )
            for index, mask in enumerate(regions.masks)
        )


def negatives_asked(expression: Expression) -> tuple[str, ...]:
    """Return the texts of a prompt's own negatives."""
    return tuple(TEMPLATE.format(text) for text in expression.prompt.negatives)


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.float().cpu().numpy().astype(np.float64)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(values):
        return values
    weights = np.exp(values - values.max())
    result: NDArray[np.float64] = weights / weights.sum()
    return result
