"""Open-vocabulary segmentation in two stages: masks of a query-based host, guided by the prompts or not, then scores.

Nothing of the input's size is made but the bits of masks that are asked for: scores are sums over queries at the
resolution of the host's masks (a quarter of its input), which a result restores one name at a time.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wordmask.backbones.query_hosts.base import repeated
from wordmask.errors import PromptError, WordmaskWarning, quote, sentence
from wordmask.methods.pmp.assembly import distinct, panoptic_segments, semantic_maps
from wordmask.methods.pmp.clip_crops import embed_crops
from wordmask.methods.pmp.scoring import clip_posterior, ensemble, pooled_embeddings
from wordmask.methods.pmp.stage_two_settings import MODES
from wordmask.methods.pmp.vocabulary import Vocabulary, VocabularyEncoder
from wordmask.methods.runner import MethodRunner, map_tensors
from wordmask.results import Candidate, Found, MaskLogits, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import Encoded
    from wordmask.methods.pmp.two_stage_model import TwoStageModel
    from wordmask.prompts import Prompt

__all__ = ["Asked", "ScoredMasks", "TwoStageSegmenter"]

MANY_PASSES = 64
"""Prompts from which asking them one by one is warned of."""
CHUNK = 16
"""Prompts decoded at once, each in a pass of its own, on an accelerator."""
SURE = 1e-4
"""Maps are kept this far from 0 and 1 when they are turned into logits."""


class Asked(NamedTuple):
    """The prompts of a call, and the mode in which the decoder is asked."""

    prompts: tuple[Prompt, ...]
    vocabulary: Vocabulary
    mode: str


@dataclass(frozen=True, eq=False)
class ScoredMasks:
    """Proposals of one decoder pass with their scores.

    Attributes:
        masks: float `(Q, h, w)` logits over the whole canvas.
        scores: float `(Q, K + O)` of the prompts and of the names that compete with them.
        parts: What the scores are made of, each `(Q, K + O)` or `(Q,)`.
        nonempty: float `(Q, K + O)`, the scores, 0 for masks without a pixel above the threshold: where CLIP sees no
            crop it counts as 1, and an empty mask would decide that a prompt is present.
    """

    masks: Tensor
    scores: Tensor
    parts: dict[str, Tensor]
    nonempty: Tensor


class TwoStageSegmenter(MethodRunner[Asked]):
    """Proposes masks and gives each of them scores for all prompts (`contracts.Segmenter`, `ProposalSource`).

    The answer to a prompt depends on the others of the call, which compete in a softmax.

    Args:
        model: Host and CLIP.
        mode: One of `MODES`; None = as the model's settings say.
        options: As of `MethodRunner`.
    """

    joint_vocabulary = True
    trainable = False
    exportable = False

    def __init__(self, model: TwoStageModel, *, mode: str | None = None, **options: Any) -> None:
        super().__init__(model, **options)
        self.model, self.mode = model, model.settings.mode if mode is None else mode
        self.encoder = VocabularyEncoder(model.clip, model.settings, model.guided.host.names)

    def in_mode(self, mode: str) -> TwoStageSegmenter:
        """Return the same segmenter with its decoder asked in another mode; weights and caches are shared.

        Raises:
            PromptError: If there is no such mode.
        """
        if mode not in MODES:
            got = f"the mode {quote(mode)}"
            raise PromptError(sentence(got, f"one of {', '.join(MODES)}", "choose one of these"))
        other = copy.copy(self)
        other.mode = mode
        return other

    def chosen_mode(self, number: int) -> str:
        """Return how a decoder is asked about a number of prompts; one without trained text attention is not asked."""
        if not self.model.is_guided:
            return "unguided"
        if self.mode == "auto":
            return "single" if number <= self.model.settings.single_up_to else "vocab"
        if self.mode == "single" and number > MANY_PASSES:
            got = f"{number} prompts asked one by one, a pass of the decoder for each"
            remedy = "choose the mode 'vocab' or 'shortlist', or let 'auto' choose"
            warnings.warn(sentence(got, f"at most {MANY_PASSES}", remedy), WordmaskWarning, stacklevel=4)
        return self.mode

    def prepare(self, prompts: tuple[Prompt, ...]) -> Asked:
        """Embed the prompts and the names that compete with them."""
        mode = self.chosen_mode(len(prompts))
        return Asked(prompts, self.encoder(prompts, one_by_one=mode == "single"), mode)

    def answer(self, encoded: Encoded, plan: Asked, thresholds: Thresholds) -> Segmentation:
        """Return one `Found` per prompt, with its map, regions and candidates."""
        encoded = replace(encoded, features=map_tensors(encoded.features, lambda part: part.to(self.device)))
        founds: list[Found | None] = [None] * len(plan.prompts)
        for places, scored in self.passes(encoded, plan):
            for place, found in zip(places, self._founds(encoded, plan, places, scored, thresholds), strict=True):
                founds[place] = found  # a second pass about a prompt replaces the first
        return Segmentation(encoded.size, tuple(f for f in founds if f is not None), encoded.image, self.name)

    def passes(self, encoded: Encoded, plan: Asked) -> Iterator[tuple[Sequence[int], ScoredMasks]]:
        """Yield the scored masks of every pass of the decoder, with the prompts that they are about."""
        everything = range(len(plan.prompts))
        if plan.mode == "single":
            yield from self._one_by_one(encoded, plan.vocabulary, everything)
            return
        tokens = None if plan.mode == "unguided" else plan.vocabulary.together()
        masks, states = self.model.decode(encoded.features["host"], tokens)
        scored = self.score(encoded, masks[-1][0], states[-1][0], plan.vocabulary)
        yield everything, scored
        if plan.mode == "shortlist":
            best = scored.nonempty[:, : len(plan.prompts)].amax(dim=0)
            order = best.argsort(descending=True, stable=True)[: self.model.settings.shortlist]
            yield from self._one_by_one(encoded, plan.vocabulary, sorted(order.tolist()))

    def _one_by_one(
        self, encoded: Encoded, vocabulary: Vocabulary, prompts: Sequence[int]
    ) -> Iterator[tuple[Sequence[int], ScoredMasks]]:
        chunk = self.model.settings.chunk or (1 if self.device.type == "cpu" else CHUNK)
        for start in range(0, len(prompts), chunk):
            part = prompts[start : start + chunk]
            features = repeated(encoded.features["host"], len(part))
            masks, states = self.model.decode(features, vocabulary.separate(part))
            for row, place in enumerate(part):
                yield (place,), self.score(encoded, masks[-1][row], states[-1][row], vocabulary)

    def score(self, encoded: Encoded, masks: Tensor, states: Tensor, vocabulary: Vocabulary) -> ScoredMasks:
        """Return the scores of masks `(Q, h, w)` of queries `(Q, C)` for every name of the vocabulary."""
        settings, host = self.model.settings, self.model.host_posterior(states, vocabulary)
        asked = len(vocabulary.names)
        known = host.known & (host.known[:asked].float().mean() >= settings.min_known)
        known = known & ~vocabulary.by_example
        parts = {"objectness": host.objectness, "host": host.names}
        if settings.scorer == "none":
            scores = host.names
        else:
            clip, skipped = self._clip(encoded, masks, host.objectness, vocabulary)
            parts["clip"] = clip
            scores = ensemble(host.names, clip, settings.ensemble, known, skipped)
        if settings.objectness:
            scores = scores * host.objectness[:, None]
        empty = masks.flatten(1).amax(dim=1).sigmoid() <= settings.threshold
        return ScoredMasks(masks, scores, parts, scores.masked_fill(empty[:, None], 0))

    def _clip(
        self, encoded: Encoded, masks: Tensor, objectness: Tensor, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        """CLIP's posterior `(Q, K + O)`, and which masks it has not seen `(Q,)`."""
        scorer, nothing = self.model.settings.scorer, torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
        if scorer == "dense":
            return self._posterior(pooled_embeddings(encoded.features["dense"][0], masks), vocabulary), nothing
        embedded, seen = self._crops(encoded, masks, objectness)
        crops = self._posterior(embedded, vocabulary)
        if scorer == "crops":
            return crops, ~seen
        dense = self._posterior(pooled_embeddings(encoded.features["dense"][0], masks), vocabulary)
        return torch.where(seen[:, None], (crops * dense).sqrt(), dense), nothing

    def _posterior(self, embedded: Tensor, vocabulary: Vocabulary) -> Tensor:
        model = self.model
        return clip_posterior(
            embedded, vocabulary.classifier, vocabulary.by_example, model.settings, scale=model.clip.scale
        )

    def _crops(self, encoded: Encoded, masks: Tensor, objectness: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the crops of masks `(Q, D)`, and which masks were cropped: not those that are empty."""
        settings, embedded = self.model.settings, masks.new_zeros(len(masks), self.model.clip.channels)
        seen = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
        cropped, places = [], []
        for place in objectness.argsort(descending=True, stable=True)[: settings.max_crops].tolist():
            packed = MaskLogits(_numpy(masks[place]), encoded.placement).packed(settings.crop_threshold)
            if packed.area:
                cropped.append(packed)
                places.append(place)
        if cropped and encoded.image is not None:
            embedded[places] = embed_crops(self.model.clip, encoded.image, cropped).to(embedded)
            seen[places] = True
        return embedded, seen

    def _founds(
        self, encoded: Encoded, plan: Asked, places: Sequence[int], scored: ScoredMasks, thresholds: Thresholds
    ) -> Iterator[Found]:
        settings = self.model.settings
        chosen = self._chosen(scored, places, len(plan.prompts))
        maps = semantic_maps(scored.scores[:, list(places)], scored.masks).clamp(SURE, 1 - SURE).logit()
        masks, values = _numpy(scored.masks), {"score": _numpy(scored.nonempty)}
        values |= {name: _numpy(part) for name, part in scored.parts.items()}
        order = scored.nonempty.argsort(dim=0, descending=True, stable=True)[: settings.candidates].cpu().numpy()
        for place, heat in zip(places, _numpy(maps), strict=True):
            wanted = list(dict.fromkeys([*chosen.get(place, []), *order[:, place].tolist()]))
            own = {  # prompts share the values of a mask
                query: Region(MaskLogits(masks[query], encoded.placement), float(values["score"][query, place]))
                for query in wanted
            }
            yield Found(
                plan.prompts[place],
                float(values["score"][:, place].max()),
                threshold=settings.threshold if thresholds.mask is None else thresholds.mask,
                presence_threshold=thresholds.presence,
                size=encoded.size,
                heatmap_logits=MaskLogits(heat, encoded.placement),
                regions=None if settings.policy == "semantic" else tuple(own[q] for q in chosen.get(place, [])),
                candidates=tuple(
                    Candidate(own[q], _parts(values, q, place), chosen=q in chosen.get(place, [])) for q in wanted
                ),
            )

    def _chosen(self, scored: ScoredMasks, places: Sequence[int], asked: int) -> dict[int, list[int]]:
        """The masks of each prompt, the best first; under "instances" its best mask always."""
        settings = self.model.settings
        if settings.policy == "panoptic":
            segments = panoptic_segments(
                scored.nonempty, scored.masks, threshold=settings.region_threshold, overlap=settings.overlap,
                allowed=asked,
            )  # fmt: skip
            return {place: [one.query for one in segments if one.name == place] for place in places}
        good = scored.nonempty >= scored.nonempty.amax(dim=0).clamp(max=settings.region_threshold)  # (Q, K + O)
        good &= scored.nonempty > 0
        chosen = {}
        for place in places:
            queries = torch.nonzero(good[:, place]).flatten()
            if len(queries) > 1:
                queries = queries[distinct(scored.masks[queries], scored.nonempty[queries, place], settings.nms)]
            chosen[place] = queries.tolist()
        return chosen

    def propose(self, image: Any) -> tuple[Region, ...]:
        """Return the host's masks without a prompt, the most probable objects first (`contracts.ProposalSource`)."""
        from wordmask.contracts import Encoded

        encoded = image if isinstance(image, Encoded) else self.encode(image)
        with torch.inference_mode():
            masks, states = self.model.decode(encoded.features["host"])
            logits = self.model.guided.host.classify(states[-1])[0]
            objectness = 1 - logits.softmax(dim=-1)[:, -1]
            order = objectness.argsort(descending=True, stable=True).tolist()
            return tuple(
                Region(MaskLogits(_numpy(masks[-1][0, query]), encoded.placement), float(objectness[query]))
                for query in order
            )


def _numpy(values: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(values.float().cpu().numpy())


def _parts(values: dict[str, np.ndarray[Any, Any]], query: int, place: int) -> dict[str, float]:
    """The score of a mask for a prompt, and what it is made of."""
    return {name: float(part[query] if part.ndim == 1 else part[query, place]) for name, part in values.items()}
