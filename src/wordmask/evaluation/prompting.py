"""Prompting a segmenter about a sample as a protocol says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wordmask.components.place.prompts import names_as_given
from wordmask.data.sample import Query
from wordmask.evaluation.resizing import resize_prompt
from wordmask.ops.masks import empty
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.contracts import Encoded, Segmenter
    from wordmask.data.sample import Sample
    from wordmask.evaluation.protocols import EvaluationProtocol
    from wordmask.prompts import Prompt
    from wordmask.results import Found, Segmentation

__all__ = ["CHUNK", "PromptedModel", "queries_of"]

CHUNK = 32
"""Prompts of one call, unless the vocabulary is asked for jointly: results of more are never held."""


@dataclass(frozen=True)
class PromptedModel:
    """A segmenter with the protocol by which it is asked.

    Attributes:
        segmenter: The model.
        protocol: Prompts and thresholds.
        names: The data set's vocabulary.
        threshold: Replaces the protocol's threshold; the model's own presence threshold then holds as the protocol
            says.
        mirror: Whether every image is segmented a second time, mirrored and with left and right swapped.
    """

    segmenter: Segmenter
    protocol: EvaluationProtocol
    names: tuple[str, ...] = ()
    threshold: float | None = None
    mirror: bool = False

    @property
    def threshold_in_force(self) -> float | None:
        """Probability above which a pixel belongs to a mask; None is the model's own."""
        return self.protocol.threshold if self.threshold is None else self.threshold

    def founds(self, encoded: Encoded, prompts: Sequence[Prompt]) -> Iterator[Found]:
        """Yield one `Found` per prompt, in order.

        A model with a joint vocabulary gets all prompts in one call, with the data set's other names behind them.
        """
        prompts = [resize_prompt(prompt, self.protocol.resize) for prompt in prompts]
        if self.segmenter.joint_vocabulary:
            known = {prompt.name for prompt in prompts}
            phrases = dict.fromkeys(self.protocol.phrase(name) for name in self.names)
            others = [TextPrompt(phrase) for phrase in phrases if phrase not in known]
            yield from self._segment(encoded, [*prompts, *others]).founds[: len(prompts)]
            return
        for start in range(0, len(prompts), CHUNK):
            yield from self._segment(encoded, prompts[start : start + CHUNK])

    def _segment(self, encoded: Encoded, prompts: Sequence[Prompt]) -> Segmentation:
        options = {} if self.protocol.place else names_as_given(self.segmenter)
        return self.segmenter.segment(encoded, prompts, threshold=self.threshold_in_force, **options)


def queries_of(sample: Sample, protocol: EvaluationProtocol) -> list[tuple[Query, bool]]:
    """List the queries of a sample that a protocol asks for, each with whether it is known to be absent.

    The sample's own queries come first, then, if the protocol says so, the names that are known to be absent. Queries
    with boxes and no masks are left out.
    """
    only = protocol.only
    queries = [query for query in sample.queries if not query.boxes_only and (not only or query.label in only)]
    asked = [(_templated(query, protocol), not query.packed.area) for query in queries]
    if not protocol.absent:
        return [(query, absent) for query, absent in asked if not absent]
    nothing = empty(sample.size)
    known = {query.label for query, _ in asked}
    missing = [name for name in sample.absent if name not in known and (not only or name in only)]
    return asked + [(Query(TextPrompt(protocol.phrase(name)), nothing, name), True) for name in missing]


def _templated(query: Query, protocol: EvaluationProtocol) -> Query:
    """Put a query's phrase into the template; examples stay as they are."""
    prompt = query.prompt
    if not isinstance(prompt, TextPrompt) or protocol.template == "{}":
        return query
    return replace(query, prompt=TextPrompt(protocol.phrase(prompt.text), negatives=prompt.negatives))
