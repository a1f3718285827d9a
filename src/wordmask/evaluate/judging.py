"""One sample, asked and judged: a record of numbers from which every score and its interval can be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.sample import UNKNOWN, Query
from wordmask.errors import DataError, quote, sentence
from wordmask.evaluate.counting import count, count_packed
from wordmask.evaluate.fitting import Fitting, fit, fit_prompt
from wordmask.images import RgbImage
from wordmask.metrics.confusion import confusion
from wordmask.metrics.judged import confusion_counts
from wordmask.metrics.mirror import swap_sides
from wordmask.metrics.proposals import proposal_ious
from wordmask.metrics.thresholds import histogram
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wordmask.contracts import Encoded, Segmenter
    from wordmask.data.sample import Sample
    from wordmask.evaluate.protocol import Rules
    from wordmask.prompts import Prompt
    from wordmask.results import Found

__all__ = ["CHUNK", "Judge"]

CHUNK = 32
"""Prompts asked at once: answers of more are never held."""


@dataclass(frozen=True)
class Judge:
    """Asks a segmenter about samples under rules and writes down what it answers, one sample at a time.

    Attributes:
        segmenter: Whom to ask.
        rules: How.
        names: The set's vocabulary, asked for under the task "labels".
        threshold: Replaces the rules' threshold; the model's own presence threshold then holds as the rules say.
        mirror: Whether every picture is asked about a second time, mirrored and with sides swapped.
    """

    segmenter: Segmenter
    rules: Rules
    names: tuple[str, ...] = ()
    threshold: float | None = None
    mirror: bool = False

    def record(self, sample: Sample) -> dict[str, Any]:
        """Return what the answers to a sample are worth, as values that JSON can hold.

        Raises:
            WordmaskError: If the picture cannot be read or a prompt cannot be followed.
        """
        fitting = fit(sample.image, sample.size, self.rules.resize)
        encoded = self.segmenter.encode(fitting.picture)
        record: dict[str, Any] = {"key": sample.key}
        if self.rules.task == "labels":
            return record | {"confusion": self._confusion(sample, fitting, encoded)}
        asked = self.asked(sample)
        ignored = None if sample.ignored is None else fitting.truth(sample.ignored.full())
        answers = self._answers(encoded, [fit_prompt(query.prompt, self.rules.resize) for query, _ in asked])
        record["rows"] = [
            self._row(query, known_absent, found, fitting, ignored)
            for (query, known_absent), found in zip(asked, answers, strict=True)
        ]
        if self.mirror:
            self._add_mirror(record, [query for query, _ in asked], fitting, encoded, ignored)
        return record

    # --- masks -----------------------------------------------------------------------------------------------------

    def asked(self, sample: Sample) -> list[tuple[Query, bool]]:
        """Return what is asked: the sample's queries, then, if the rules want it, names known to be absent."""
        only = self.rules.only
        chosen = [query for query in sample.queries if not only or query.label in only]
        asked = [(self._worded(query), not query.packed.area) for query in chosen]
        if not self.rules.absent:
            return [(query, absent) for query, absent in asked if not absent]
        from wordmask.ops.masks import empty

        nothing = empty(sample.size)
        known = {query.label for query, _ in asked}
        missing = [name for name in sample.absent if name not in known and (not only or name in only)]
        return asked + [(Query(TextPrompt(self.rules.phrase(name)), nothing, name), True) for name in missing]

    def _worded(self, query: Query) -> Query:
        """Put a query's words into the template; examples, and phrases that came with negatives, stay as they are."""
        prompt = query.prompt
        if not isinstance(prompt, TextPrompt) or self.rules.template == "{}":
            return query
        return Query(TextPrompt(self.rules.phrase(prompt.text), negatives=prompt.negatives), query.packed, query.label)

    def _answers(self, encoded: Encoded, prompts: Sequence[Prompt]) -> Iterator[Found]:
        for start in range(0, len(prompts), CHUNK):
            yield from self.segmenter.segment(encoded, prompts[start : start + CHUNK], threshold=self.level)

    @property
    def level(self) -> float | None:
        """The threshold in force; None is the model's own."""
        return self.rules.threshold if self.threshold is None else self.threshold

    def _row(
        self, query: Query, absent: bool, found: Found, fitting: Fitting, ignored: NDArray[np.bool_] | None
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"label": query.label, "absent": absent, "found": found.present}
        row["presence"] = round(float(found.presence), 7)
        if fitting.resize == "original" and not self._wants_probability:
            row["counts"] = count_packed(found.packed, query.packed, ignored)
        else:
            truth, probability = fitting.truth(query.mask), fitting.probability(found)
            row["counts"] = count(self._mask(found, probability, fitting), truth, ignored)
            if self.rules.sweep:
                row["levels"] = histogram(probability, truth, ignored).tolist()
        if found.regions is not None and query.packed.area:
            truth = fitting.truth(query.mask)
            row["proposals"] = _proposals(found, self._own(found, fitting), fitting, truth, ignored)
        return row

    @property
    def _wants_probability(self) -> bool:
        return self.rules.sweep or self.rules.threshold is not None

    def _mask(self, found: Found, probability: NDArray[np.float32] | None, fitting: Fitting) -> NDArray[np.bool_]:
        """Return the answer: by the threshold alone under rules that fix one, else the model's own."""
        if probability is None or self.rules.threshold is None:
            return fitting.mask(found)
        level = self.level
        assert level is not None
        return probability > np.float32(level)

    # --- mirrored --------------------------------------------------------------------------------------------------

    def _add_mirror(
        self,
        record: dict[str, Any],
        queries: list[Query],
        fitting: Fitting,
        encoded: Encoded,
        ignored: NDArray[np.bool_] | None,
    ) -> None:
        """Ask the mirrored picture, sides swapped, and add intersections and unions to the rows of words."""
        places = [place for place, query in enumerate(queries) if isinstance(query.prompt, TextPrompt)]
        turned = RgbImage(np.ascontiguousarray(fitting.picture.pixels[:, ::-1]), fitting.picture.name)
        plain: list[Prompt] = [queries[place].prompt for place in places]
        swapped = [TextPrompt(swap_sides(prompt.text)) for prompt in plain if isinstance(prompt, TextPrompt)]
        mirrored = self._answers(self.segmenter.encode(turned), swapped)
        for place, first, second in zip(places, self._answers(encoded, plain), mirrored, strict=True):
            truth = fitting.truth(queries[place].mask)
            answer, back = self._own(first, fitting), self._own(second, fitting)[:, ::-1]
            pairs = ((answer, back), (answer, truth), (back, truth))
            counts = [confusion_counts(one, two, ignored) for one, two in pairs]
            record["rows"][place]["mirror"] = [n for tp, fp, fn, _ in counts for n in (tp, tp + fp + fn)]

    def _own(self, found: Found, fitting: Fitting) -> NDArray[np.bool_]:
        return self._mask(found, fitting.probability(found) if self._wants_probability else None, fitting)

    # --- labels ----------------------------------------------------------------------------------------------------

    def _confusion(self, sample: Sample, fitting: Fitting, encoded: Encoded) -> list[list[int]]:
        """Return true label, answered label and number of pixels of every pair that occurs."""
        truth = sample.labels
        if truth is None:
            got = f"the sample {quote(sample.key)}, which does not give every pixel one name"
            raise DataError(sentence(got, "a label map", "choose a preset that judges masks"))
        if sample.ignored is not None:
            truth = np.where(sample.ignored.full(), np.int32(UNKNOWN), truth)
        truth = fitting.truth(truth)
        matrix = confusion(self._labels(fitting, encoded, truth.shape), truth, len(self.names))
        rows, columns = np.nonzero(matrix)
        return [[int(row), int(column), int(matrix[row, column])] for row, column in zip(rows, columns, strict=True)]

    def _labels(self, fitting: Fitting, encoded: Encoded, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Return the name of every pixel: the one of the highest probability, the first among equals."""
        rules, level = self.rules, self.level
        ground = -1 if rules.background is None else self.names.index(rules.background)
        asked = [place for place in range(len(self.names)) if place != ground or rules.weight is not None]
        best = np.full(shape, -1.0, np.float32)
        labels = np.full(shape, -1, np.int32)
        prompts = [TextPrompt(rules.phrase(self.names[place])) for place in asked]
        for place, found in zip(asked, self._answers(encoded, prompts), strict=True):
            values = fitting.probability(found)
            if rules.decline:
                values = np.where(_claimed(found, values, level), values, np.float32(-1))
            if place == ground and rules.weight is not None:
                values = values * np.float32(rules.weight)
            better = values > best
            np.copyto(best, values, where=better)
            np.copyto(labels, np.int32(place), where=better)
        if ground >= 0:
            labels[labels < 0] = ground
        return labels


def _claimed(found: Found, values: NDArray[np.float32], level: float | None) -> NDArray[np.bool_]:
    """Return the pixels above the threshold; none where the model says that the thing is not there."""
    if not found.present:
        return np.zeros(values.shape, np.bool_)
    return values > np.float32(found.threshold if level is None else level)


def _proposals(
    found: Found,
    mask: NDArray[np.bool_],
    fitting: Fitting,
    truth: NDArray[np.bool_],
    ignored: NDArray[np.bool_] | None,
) -> list[float]:
    """Return IoU with the truth of the best region, and of the answer."""
    if fitting.resize == "letterbox352" or (ignored is not None and not (truth & ~ignored).any()):
        return []
    best = proposal_ious((instance.mask for instance in found.instances), truth, ignored).max(initial=0.0)
    chosen = proposal_ious([mask], truth, ignored)[0]
    return [round(float(best), 9), round(float(chosen), 9)]
