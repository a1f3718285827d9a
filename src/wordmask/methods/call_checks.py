"""Checks of what a call of a segmenter gets and of what it answers, and the reading of images in batches."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.contracts import Encoded
from wordmask.errors import CheckpointError, PromptError, UnsupportedPromptError, quote, sentence
from wordmask.images import RgbImage, load_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wordmask.images import ImageInput
    from wordmask.prompts import Prompt
    from wordmask.results import Segmentation

__all__ = ["batches", "check_numbers", "check_types", "checked_batch_size", "is_single_image"]

LARGEST_BATCH = 4096
"""Images that may be encoded together."""
PIXELS_AT_ONCE = 50_000_000
"""A batch of images that are read together ends with the image that reaches this."""


def check_types(prompts: Iterable[Prompt], accepts: frozenset[type], *, model: str) -> None:
    """Check that a model takes all the prompts.

    Raises:
        UnsupportedPromptError: If it does not.
    """
    for prompt in prompts:
        if type(prompt) not in accepts:
            known = " or ".join(sorted(kind.__name__ for kind in accepts))
            got = f"the {type(prompt).__name__} {quote(prompt.name)} for {model}"
            remedy = "ask in another way, or load a model that takes it"
            raise UnsupportedPromptError(sentence(got, known, remedy))


def check_numbers(result: Segmentation) -> None:
    """Check that a model answered with numbers: weights may be finite and yet overflow.

    Raises:
        CheckpointError: If a presence, a heatmap or a score is NaN.
    """
    for found in result.founds:
        dense = () if found.heatmap_logits is None else (found.heatmap_logits.values.min(),)  # NaN if one is
        if np.isnan([found.presence, *dense, *(region.score for region in found.regions or ())]).any():
            got = f"an answer of {result.model} to {quote(found.name)} that is no number (NaN)"
            remedy = "fetch or save its weights again, or load them with dtype='float32'"
            raise CheckpointError(sentence(got, "finite numbers", remedy))


def batches(images: Iterator[ImageInput], size: int) -> Iterator[list[RgbImage]]:
    """Read images in batches of at most `size` images and about `PIXELS_AT_ONCE` pixels.

    An error in reading is raised when the images before it have been yielded.
    """
    batch: list[RgbImage] = []
    try:
        for image in images:
            batch.append(load_image(image))
            if len(batch) == size or sum(math.prod(one.size) for one in batch) >= PIXELS_AT_ONCE:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def is_single_image(images: Any) -> bool:
    """Whether something is one image where many are meant; arrays of up to three dimensions are one."""
    named = isinstance(images, str | bytes | os.PathLike | RgbImage | Encoded) or hasattr(images, "read")
    return named or not isinstance(images, Iterable) or getattr(images, "ndim", 4) <= 3


def checked_batch_size(value: Any) -> int:
    """Return a whole number from 1 to `LARGEST_BATCH`.

    Raises:
        PromptError: If it is no such number.
    """
    try:
        size = operator.index(value)
    except TypeError:
        size = 0
    if not 1 <= size <= LARGEST_BATCH:
        got = f"the batch size {quote(value)} ({type(value).__name__})"
        raise PromptError(sentence(got, f"a whole number from 1 to {LARGEST_BATCH}", "pass for example batch_size=8"))
    return size
