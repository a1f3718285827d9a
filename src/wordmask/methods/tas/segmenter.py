"""The segmenter of TAS: referring expressions answered by scored proposals, without training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from wordmask.components.place import RegionGeometry
from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed
from wordmask.components.place.prompts import check_place
from wordmask.methods.runner import Asked, MethodRunner
from wordmask.methods.tas.choice import Choice, by_place, by_released_rule, by_score
from wordmask.methods.tas.expressions import TEMPLATE, Reading, is_near_synonym, read_prompt
from wordmask.methods.tas.released_parser import dependency_tree
from wordmask.methods.tas.scores import RegionScores, tas_score
from wordmask.methods.tas.settings import TasSettings
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Candidate, Found, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.components.place import Expression as PlaceExpression
    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import Encoded
    from wordmask.images import RgbImage
    from wordmask.methods.tas.regions import RegionSet, TasFeatures
    from wordmask.prompts import PromptInput

__all__ = ["RegionModel", "TasPlan", "TasSegmenter"]


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

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        """Return the regions that are scored for a phrase, and for what is presumed of the instances that it names.

        Where `encoded.mirror` is there, they are those of both orientations (`RegionSet.merged`).
        """
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
        readings: One per prompt.
        vectors: For each text that is scored, its unit vector (C,).
    """

    readings: tuple[Reading, ...]
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

    understands_place = True

    def __init__(
        self,
        model: RegionModel,
        settings: TasSettings | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(_Facts(model.name), device=device, dtype=dtype)  # type: ignore[arg-type]
        self.model = model
        self.settings = settings or TasSettings()

    @torch.inference_mode()
    def _ask(self, prompts: PromptInput, place: str = "auto") -> Asked[TasPlan]:
        check_place(place)
        asked = super()._ask(prompts, "off")
        if place == "auto" or asked.usual is None:
            return asked
        return replace(asked, usual=replace(asked.usual, plan=self._planned(asked.usual.plan, place)))

    def prepare(self, prompts: tuple[Prompt, ...]) -> TasPlan:
        """Read the expressions and embed everything that does not depend on an image."""
        return self._plan(tuple(prompt for prompt in prompts if isinstance(prompt, TextPrompt)), "auto")

    def _planned(self, plan: TasPlan, place: str) -> TasPlan:
        """The plan of the same prompts, their words of place read in another way."""
        return self._plan(tuple(reading.prompt for reading in plan.readings), place)

    def _plan(self, prompts: tuple[TextPrompt, ...], place: str) -> TasPlan:
        chosen = place if self.settings.rectifier == "intended" else "off"
        readings = tuple(read_prompt(prompt, chosen) for prompt in prompts)
        texts = list(dict.fromkeys(text for reading in readings for text in reading.texts))
        vectors = self.model.embed_texts(texts) if texts else ()
        return TasPlan(readings, dict(zip(texts, vectors, strict=True)))

    def _encode_all(self, images: list[RgbImage]) -> list[Encoded]:
        with torch.inference_mode():
            return [self.model.encode(image) for image in images]

    def answer(self, encoded: Encoded, plan: TasPlan, thresholds: Thresholds) -> Segmentation:
        """Score the regions for every expression and choose; words of place, in both orientations of the image."""
        here, both = replace(encoded, mirror=None), encoded
        if self.place_settings.mirror and any(reading.place for reading in plan.readings):
            both = self.with_mirror(encoded)
        founds = [self._found(both if one.place else here, plan, one, thresholds) for one in plan.readings]
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    def _found(self, encoded: Encoded, plan: TasPlan, reading: Reading, thresholds: Thresholds) -> Found:
        regions = self.model.regions(encoded, reading.target, presumed=reading.presumed)
        scores = self.scores(encoded.features, regions, reading, plan)
        choice = self._choice(encoded, plan, reading, regions, scores)
        presence = self._presence(encoded, reading.target) if len(regions) else 0.0
        candidates = self._candidates(regions, scores, choice)
        return Found(
            reading.prompt,
            presence,
            threshold=0.5 if thresholds.mask is None else thresholds.mask,
            presence_threshold=thresholds.presence,
            size=encoded.size,
            regions=tuple(candidates[index].region for index in choice.chosen),
            candidates=candidates,
            notes=choice.notes if len(regions) else ("no proposals: the mask is empty",),
        )

    def _presence(self, encoded: Encoded, target: str) -> float:
        return self.model.presence(encoded, target) if target else 1.0

    def scores(self, features: TasFeatures, regions: RegionSet, reading: Reading, plan: TasPlan) -> RegionScores:
        """Return the scores of regions for an expression; without a name ("left") their mask quality counts."""
        if not reading.target:
            return tas_score(np.array(regions.quality), weights=self.settings.weights)
        asked = plan.vectors[reading.target].to(regions.vectors)
        others = self._negatives(features, reading, plan)
        return tas_score(
            _array(regions.vectors @ asked),
            _array(regions.captions @ asked),
            _array(regions.vectors @ others.T.to(regions.vectors)) if others is not None else None,
            weights=self.settings.weights,
        )

    def _negatives(self, features: TasFeatures, reading: Reading, plan: TasPlan) -> Tensor | None:
        """Unit vectors (K, C) of what the regions must not be: the user's negatives, or noun phrases of the caption."""
        if reading.negatives:
            return torch.stack([plan.vectors[TEMPLATE.format(text)] for text in reading.negatives])
        rule, phrases = self.settings.synonyms, features.texts()[1]
        others = [index for index, phrase in enumerate(phrases) if not is_near_synonym(phrase, reading, rule)]
        return features.phrases[others] if others else None

    def _choice(
        self, encoded: Encoded, plan: TasPlan, reading: Reading, regions: RegionSet, scores: RegionScores
    ) -> Choice:
        if self.settings.rectifier == "released":
            return by_released_rule(scores.total, regions.masks, dependency_tree(reading.sentence))
        if not reading.place:
            return by_score(scores.total)
        related = {thing: self._located(encoded, plan, thing) for thing in reading.parsed.related if thing.name}
        margin = self.settings.margin if reading.target else np.inf
        return by_place(reading.parsed, scores.total, regions, encoded.size, margin=margin, related=related)

    def _located(self, encoded: Encoded, plan: TasPlan, thing: PlaceExpression) -> RegionGeometry:
        """Where a related thing is: the regions that fit its name, or those that its own words of place choose."""
        regions = self.model.regions(encoded, thing.name)
        fits = _array(regions.vectors @ plan.vectors[thing.name].to(regions.vectors))
        related = {one: self._located(encoded, plan, one) for one in thing.related if one.name}
        choice = by_place(thing, fits, regions, encoded.size, margin=self.settings.margin, related=related)
        return RegionGeometry.of_masks([regions.masks[index] for index in choice.chosen], encoded.size)

    def _candidates(self, regions: RegionSet, scores: RegionScores, choice: Choice) -> tuple[Candidate, ...]:
        values = _softmax(self.settings.scale * scores.total)
        return tuple(
            Candidate(
                Region(mask, float(values[index]), regions.quality[index], mask.box),
                scores.parts(index) | {name: float(part[index]) for name, part in choice.parts.items()},
                chosen=index in choice.chosen,
            )
            for index, mask in enumerate(regions.masks)
        )


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.float().cpu().numpy().astype(np.float64)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(values):
        return values
    weights = np.exp(values - values.max())
    result: NDArray[np.float64] = weights / weights.sum()
    return result
