"""The task "proposals": are the wanted masks among the candidates that a model scored for a prompt?

Targets are the true instances of a query, or its whole mask where the data hold no instances. Candidates are
`Found.candidates`, else `Found.regions`, else the instances of the prediction, best detection score first. The oracle
gap is the IoU that a perfect choice among the candidates would gain over what the model returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.prompting import queries_of
from wordmask.evaluation.resizing import resize_image
from wordmask.evaluation.score.ground_truth import ground_truth_instances
from wordmask.evaluation.score.intervals import mean_over_images
from wordmask.evaluation.score.scores import Scores
from wordmask.metrics.proposals import IOU_THRESHOLDS, proposal_ious
from wordmask.metrics.sizes import SIZES, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from wordmask.data.sample import Query, Sample
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.score.scores import ScoreOptions
    from wordmask.ops.masks import PackedMask
    from wordmask.results import Found

    Mask = NDArray[np.bool_]

__all__ = ["proposal_scores", "record_proposals"]

FIRST = (1, 10, 100)
"""Numbers of candidates, best first, among which the best is sought."""


_ENDS = ("", *(f"@{k}" for k in FIRST))


# --- one sample ------------------------------------------------------------------------------------------------------


def record_proposals(model: PromptedModel, sample: Sample) -> dict[str, Any]:
    """Segment a sample and compare every target with the candidates of its prompt.

    Raises:
        WordmaskError: If the image cannot be read or the model does not take a prompt.
    """
    resized = resize_image(sample.image, sample.size, "original")
    encoded = model.segmenter.encode(resized.image)
    queries = [query for query, absent in queries_of(sample, model.protocol) if not absent]
    ignored = None if sample.ignored is None else sample.ignored.full()
    founds = model.founds(encoded, [query.prompt for query in queries])
    targets = [
        target for query, found in zip(queries, founds, strict=True) for target in _targets(query, found, ignored)
    ]
    return {"pixels": sample.size[0] * sample.size[1], "targets": targets}


def _targets(query: Query, found: Found, ignored: Mask | None) -> Iterator[dict[str, Any]]:
    """Yield label, area, number of candidates, best IoU among the first k and among all, IoU of the prediction."""
    proposals = list(_candidates(found))
    by_instance = bool(query.instances)
    true = ground_truth_instances(query, ignored) if by_instance else [(query.mask, False)]
    returned = [instance.packed for instance in found.instances] if by_instance else [found.packed]
    for mask, crowd in true:
        if crowd or not (mask if ignored is None else mask & ~ignored).any():
            continue
        ious = proposal_ious((packed.full() for packed in proposals), mask, ignored)
        chosen = proposal_ious((packed.full() for packed in returned), mask, ignored)
        best = [float(ious[:k].max(initial=0.0)) for k in (*FIRST, len(ious))]
        values = [round(value, 9) for value in (*best, float(chosen.max(initial=0.0)))]
        yield {
            "label": query.label,
            "area": int(np.count_nonzero(mask)),
            "candidates": len(proposals),
            "ious": values,
        }


def _candidates(found: Found) -> Iterator[PackedMask]:
    candidates = [candidate.region for candidate in found.candidates]
    regions = candidates or list(found.regions or ())
    if not regions:
        yield from (instance.packed for instance in sorted(found.instances, key=lambda one: -one.score))
        return
    for region in sorted(regions, key=lambda one: -one.score):
        yield region.packed(found.threshold)


# --- all samples -----------------------------------------------------------------------------------------------------


def proposal_scores(records: Iterable[dict[str, Any]], options: ScoreOptions) -> Scores:
    """Compute recall and the oracle gap, with intervals, of the records of all samples.

    `ar` is recall averaged over IoU 0.5 to 0.95, `r50` and `r75` recall at one IoU, each also among the first k.
    """
    images, rows, sizes = 0, list[list[float]](), list[str]()
    for images, record in enumerate(records, start=1):
        for target in record["targets"]:
            rows.append([images - 1, target["candidates"], *target["ious"]])
            sizes.append(size_of(target["area"], record["pixels"]))
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 2 + len(FIRST) + 2)
    by_size = np.array(sizes, dtype=np.str_)
    scores = {name: score for name, score in _scores(table, images, options).items() if score is not None}
    parts = {size: table[by_size == size] for size in SIZES if (by_size == size).any()}
    return Scores(
        scores,
        by_size={
            size: {"targets": len(part), **_scores(part, images, options, ends=("",))} for size, part in parts.items()
        },
    )


def _scores(
    table: NDArray[np.float64],
    images: int,
    options: ScoreOptions,
    *,
    ends: tuple[str, ...] = _ENDS,
) -> dict[str, Any]:
    """Compute the scores of rows `(T, 7)`: image, candidates, best IoU among the first 1, 10, 100, all, prediction."""
    image = table[:, 0].astype(np.int64)

    def averaged(values: NDArray[Any]) -> Any:
        return mean_over_images(values, image, images, draws=options.draws, seed=options.seed)

    scores: dict[str, Any] = {}
    for end in ends:
        best = table[:, 5] if not end else table[:, 2 + FIRST.index(int(end[1:]))]
        scores[f"ar{end}"] = averaged((best[:, None] >= IOU_THRESHOLDS).mean(axis=1))
        scores |= {f"r50{end}": averaged(best >= 0.5), f"r75{end}": averaged(best >= 0.75)}
        scores[f"mean_best_iou{end}"] = averaged(best)
    scores["returned_iou"] = averaged(table[:, 6])
    scores["oracle_gap"] = averaged(table[:, 5] - table[:, 6])
    scores["candidates"] = averaged(table[:, 1])
    return scores
