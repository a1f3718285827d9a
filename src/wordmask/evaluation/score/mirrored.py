"""Consistency under mirroring: is the mask of the mirrored image, asked with sides swapped, the mirrored mask?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.sampling.left_right import swap_left_right
from wordmask.evaluation.score.predictions import predicted_mask
from wordmask.images import RgbImage
from wordmask.metrics.overlap import intersection_and_union
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.contracts import Encoded
    from wordmask.data.sample import Query
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.resizing import Resized

__all__ = ["mirror_counts"]


def mirror_counts(
    model: PromptedModel, queries: list[Query], resized: Resized, encoded: Encoded, ignored: NDArray[np.bool_] | None
) -> Iterator[tuple[int, list[int]]]:
    """Segment the mirrored image and yield, for each query of words, its index and six pixel counts.

    The counts are intersection and union of both masks with each other, of the mask with the ground truth, and of the
    mirrored mask with it; all in the frame of the original.
    """
    places = [place for place, query in enumerate(queries) if isinstance(query.prompt, TextPrompt)]
    mirrored = RgbImage(np.ascontiguousarray(resized.image.pixels[:, ::-1]), resized.image.name)
    prompts = [queries[place].prompt for place in places]
    swapped = [TextPrompt(swap_left_right(prompt.text)) for prompt in prompts if isinstance(prompt, TextPrompt)]
    first, second = model.founds(encoded, prompts), model.founds(model.segmenter.encode(mirrored), swapped)
    for place, plain, turned in zip(places, first, second, strict=True):
        ground_truth = resized.ground_truth(queries[place].mask)
        mask, back = predicted_mask(model, plain, resized), predicted_mask(model, turned, resized)[:, ::-1]
        pairs = ((mask, back), (mask, ground_truth), (back, ground_truth))
        yield place, [number for one, two in pairs for number in intersection_and_union(one, two, ignored)]
