"""A data set of wordmask as labelled images of one label space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.sampling.left_right import swap_left_right
from wordmask.errors import DataError, sentence
from wordmask.images import load_image
from wordmask.prompts import TextPrompt
from wordmask.training.compact.label_space import MOST_LABELS, UNKNOWN, LabelSpace
from wordmask.training.compact.labelled_images import LabelledImageWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.data.sample import Query, Sample
    from wordmask.training.data import Subset

__all__ = ["space_of", "write_labelled_images"]


def space_of(samples: Subset, name: str) -> LabelSpace:
    """Return the label space of a data set: every name that it asks for, with its mirrored form.

    Where the data set has a vocabulary, phrases beyond it ("red cross" beside "cross") are left out: a pixel of a label
    map has one name.

    Raises:
        DataError: If there are more names than 8-bit labels can tell apart, or none.
    """
    phrases = {q.label for sample in _read(samples) for q in _named(sample, samples.dataset.names)}
    if not phrases:
        raise DataError(sentence("no mask with a name", "at least one", "train on a set with named masks"))
    labels = sorted(phrases | {swap_left_right(p) for p in phrases})
    if len(labels) > MOST_LABELS:
        got = f"{len(labels)} different names"
        raise DataError(sentence(got, f"at most {MOST_LABELS}", "train on a set with fewer names"))
    absent = sorted({n for sample in _read(samples) for n in sample.absent} - set(labels))
    return LabelSpace(name, tuple(labels), extra=tuple(absent))


def write_labelled_images(sets: Sequence[tuple[Subset, LabelSpace]], folder: Path, *, side: int) -> None:
    """Resize the images once and keep them with their label maps and boxes.

    Args:
        sets: samples of each data set, with the space of its names.
        folder: for the files.
        side: longer side of the images in pixels, at most.
    """
    writer = LabelledImageWriter([space for _, space in sets], side=side)
    for samples, space in sets:
        for sample in _read(samples):
            pixels = load_image(sample.image).pixels
            queries = _named(sample, samples.dataset.names)
            boxes = [(q.label, *instance.box) for q in queries if q.boxes_only for instance in q.instances]
            absent = dict.fromkeys(sample.absent, 1.0)
            writer.add(space.name, pixels, _label_map(sample, queries, space), boxes=boxes, absent=absent)
    writer.save(folder)


def _read(samples: Subset) -> Iterator[Sample]:
    return (samples.dataset[i] for i in samples.indices)


def _named(sample: Sample, names: tuple[str, ...]) -> list[Query]:
    """Queries in words that are present, of the vocabulary where there is one."""
    queries = (q for q in sample.queries if isinstance(q.prompt, TextPrompt) and (q.packed.area or q.boxes_only))
    return [q for q in queries if not names or q.label in names]


def _label_map(sample: Sample, queries: list[Query], space: LabelSpace) -> NDArray[np.uint8]:
    """Label values (H, W), smaller masks on top; 0 where no phrase covers a pixel, 255 where nothing is known."""
    labels = np.zeros(sample.size, np.uint8)
    masks = [(q.mask, q) for q in queries]
    for mask, query in sorted(masks, key=lambda pair: -int(pair[0].sum())):
        labels[mask] = UNKNOWN if query.boxes_only else space.labels.index(query.label) + 1
    if sample.ignored is not None:
        labels[sample.ignored.full()] = UNKNOWN
    return labels
