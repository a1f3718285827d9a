"""Open the user's data for a training: every shape that `wordmask.data.registry` reads, inspected, with validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wordmask.data.folder import ALL
from wordmask.data.problems import NOTHING_LEFT, problems_of, require_sound
from wordmask.data.reading import show
from wordmask.data.registry import open_data, splits_of
from wordmask.errors import DataError, WordmaskWarning, quote, sentence
from wordmask.prompts.phrases import fold_phrase
from wordmask.training.data import DataChoice, Subset
from wordmask.training.inspection import InstanceCounts, inspect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wordmask.contracts import Dataset
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.training.inspection import Inspected

__all__ = ["Opened", "open_split", "open_training_data", "open_validation", "spread"]

T = TypeVar("T")

BACKGROUND = frozenset({"background", "bg", "unlabeled", "unlabelled", "void"})
"""Names that tools give to what has no name."""
_USUAL = {DataChoice.split, DataChoice.valid_split, ALL}

FEWEST_HELD_OUT = 10
"""Images from which on some are held out for validation."""


@dataclass(frozen=True)
class Opened:
    """A user's data, inspected.

    Attributes:
        train: Samples that are trained on.
        validation: Samples that are not; None where there are none.
        phrases: Phrases of the inspected training samples, by index.
        left_out: Sentences about what was wrong and is left out.
        counts: How many instances the training samples have.
    """

    train: Subset
    validation: Subset | None
    phrases: dict[int, PhraseList]
    left_out: tuple[str, ...]
    counts: InstanceCounts


def open_training_data(
    choice: DataChoice, *, validate: bool, holdout: float, limit: int, seed: int, skip_bad: bool,
    boxes: bool = False, narrowed: Callable[[Dataset], Dataset] = lambda dataset: dataset,
) -> Opened:  # fmt: skip
    """Open the data and read every sample once.

    Args:
        choice: Which data.
        validate: Whether samples for validation are wanted.
        holdout: Part of the images that is held out for it where there are no others.
        limit: Most samples that a validation takes.
        seed: Of the choice of those that are held out.
        skip_bad: Whether what is wrong is left out; otherwise it is an error.
        boxes: Whether boxes without masks are trained on; otherwise something is wrong with them. No image with such
            boxes is validated on.
        narrowed: What validation sees of its data set.

    Raises:
        DataError: If something is wrong, or nothing is left.
    """
    dataset = open_split(choice, choice.path, choice.split, boxes=boxes)
    found = inspect(dataset, boxes=boxes)
    usable = found.usable
    validation, checked, problems = _validation(choice, limit, narrowed, boxes) if validate else (None, None, ())
    left_out = (*problems_of(dataset), *found.problems, *problems)
    if not skip_bad:
        require_sound(left_out)
    if not usable:
        require_sound(left_out, NOTHING_LEFT)
        name = choice.dataset if choice.path is None else show(choice.path)
        got = f"no mask in any image of {name}, and no name that is known to be absent"
        raise DataError(
            sentence(
                got, "at least one image with a mask and a phrase", "annotate some; in label maps, 255 means ignore"
            )
        )
    masked = tuple(index for index in usable if not found.counts[index].boxes)
    if validation is None and validate and holdout and len(masked) >= FEWEST_HELD_OUT:
        held_out = _held_out(masked, holdout, seed)
        usable = tuple(sorted(set(usable) - set(held_out)))
        validation = Subset(narrowed(dataset), spread(held_out, limit))
    _warn(found, checked)
    counts = InstanceCounts.sum(found.counts[index] for index in usable)
    return Opened(Subset(dataset, usable), validation, found.phrases, left_out, counts)


def open_validation(
    choice: DataChoice, *, limit: int, narrowed: Callable[[Dataset], Dataset] = lambda dataset: dataset
) -> tuple[Subset | None, tuple[str, ...]]:
    """Open the data that the user named for validation, or the set's own part for it; None where there are none.

    Returns:
        The samples, and what was wrong and is left out.
    """
    validation, _, problems = _validation(choice, limit, narrowed, False)
    return validation, problems


def _validation(
    choice: DataChoice, limit: int, narrowed: Callable[[Dataset], Dataset], boxes: bool
) -> tuple[Subset | None, Inspected | None, tuple[str, ...]]:
    """Open and read samples for validation; those with boxes alone, which measure no mask, are not among them."""
    path, split = choice.valid or choice.path, choice.valid_split
    if choice.valid is None and choice.dataset is None and split in _USUAL and split not in splits_of(path):
        return None, None, ()
    dataset = narrowed(open_split(choice, path, split, boxes=boxes))
    found = inspect(dataset, spread(tuple(range(len(dataset))), limit), boxes=boxes)
    usable = tuple(index for index in found.usable if not found.counts[index].boxes)
    if found.usable and not usable:
        if choice.valid is not None:
            got = f"boxes without masks alone in {show(choice.valid)}"
            raise DataError(sentence(got, "masks to validate on", "choose data with masks, or leave the option out"))
        return None, None, problems_of(dataset)
    return Subset(dataset, usable), found, (*problems_of(dataset), *found.problems)


def _warn(found: Inspected, checked: Inspected | None) -> None:
    """Warn of phrases that name no thing, and of validation images that are trained on.

    Args:
        found: What is trained on.
        checked: What is validated on; None where it is held out, or nothing.
    """
    phrases = {phrase for listed in found.phrases.values() for _, phrase in listed.present}
    for name in sorted(p for p in phrases if fold_phrase(p) in BACKGROUND):
        remedy = "leave it out: pixels without a name need none"
        said = sentence(f"the phrase {quote(name)}, which is trained like any other", "names of things", remedy)
        warnings.warn(said, WordmaskWarning, stacklevel=4)
    trained = set(found.digests.values())
    common = sum(digest in trained for digest in checked.digests.values()) if checked else 0
    if checked and common:
        got = f"{common} of {len(checked.digests)} validation images that are trained on, too"
        remedy = "name others with --valid, or leave it out: some are then held out"
        warnings.warn(sentence(got, "images that are not trained on", remedy), WordmaskWarning, stacklevel=4)


def open_split(choice: DataChoice, path: Path | None, split: str, *, boxes: bool = False) -> Dataset:
    """Open a part of some data; without parts, all of them.

    Raises:
        DataError: If a part is named that the data do not have.
    """
    known = choice.dataset is not None or bool(splits_of(path))
    if not known and split not in _USUAL:
        got = f"the part {quote(split)} of {show(path) if path else 'data'}, which have no parts"
        raise DataError(sentence(got, "data with splits.json", "leave out the option, or write a splits.json"))
    return open_data(
        path, dataset=choice.dataset, split=split if known else None, images=choice.images,
        exhaustive=choice.exhaustive or None, boxes=boxes,
    )  # fmt: skip


def _held_out(usable: tuple[int, ...], part: float, seed: int) -> tuple[int, ...]:
    """Return the indices that are held out for validation."""
    order = np.random.default_rng([seed, len(usable)]).permutation(len(usable)).tolist()
    kept = set(order[: max(1, round(part * len(usable)))])
    return tuple(index for place, index in enumerate(usable) if place in kept)


def spread(items: tuple[T, ...], limit: int) -> tuple[T, ...]:
    """Return at most `limit` items, evenly spaced."""
    if len(items) <= limit:
        return items
    return tuple(items[place * len(items) // limit] for place in range(limit))
