"""The task "boxes": masks and presence against boxes, for data without masks.

Every name that has a box is asked for, and so are the names known to be absent. Scores need no masks: what fraction of
a mask lies inside the boxes of its name, how many present names are found, how many absent ones get a mask.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.score.intervals import mean_over_images
from wordmask.evaluation.score.masks import record_masks
from wordmask.evaluation.score.presence import presence_scores
from wordmask.evaluation.score.rows import Rows
from wordmask.evaluation.score.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.data.sample import Sample
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.score.scores import ScoreOptions

__all__ = ["box_scores", "record_boxes"]


def record_boxes(model: PromptedModel, sample: Sample) -> dict[str, Any]:
    """Segment a sample and count the pixels of each mask inside and outside the boxes: one row a prompt.

    Raises:
        WordmaskError: If the image cannot be read or the model does not take a prompt.
    """
    queries = tuple(replace(query, boxes_only=False) for query in sample.queries)
    return record_masks(model, replace(sample, queries=queries))


def box_scores(records: Iterable[dict[str, Any]], options: ScoreOptions) -> Scores:
    """Compute the scores of the records of all samples, in order.

    `inside_boxes` is the fraction of a mask's pixels that lie inside the boxes of its name, a mean over the present
    names that get a mask; `found` is the fraction of present names that get one.
    """
    rows = Rows.of(records)
    inside, area = rows.column("tp"), rows.column("tp") + rows.column("fp")
    detected = rows.present & rows.masked

    def averaged(values: Any, chosen: Any) -> Any:
        return mean_over_images(values, rows.image[chosen], rows.images, draws=options.draws, seed=options.seed)

    scores = {
        "found": averaged(rows.masked[rows.present], rows.present),
        "inside_boxes": averaged(inside[detected] / area[detected], detected),
    }
    by_name = {
        str(label): {
            "prompts": int(np.count_nonzero(chosen)),
            "found": averaged(rows.masked[chosen], chosen),
            "inside_boxes": averaged(inside[chosen & detected] / area[chosen & detected], chosen & detected),
        }
        for label in np.unique(rows.labels[rows.present])
        for chosen in [rows.present & (rows.labels == label)]
    }
    presence = presence_scores(rows, draws=options.draws, seed=options.seed)
    return Scores({name: score for name, score in scores.items() if score is not None}, presence, {}, by_name)
