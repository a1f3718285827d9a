"""Splits by content: the same for the same images, with images that look alike in one split.

A split is decided by a hash of seed and content, so that an image stays in its split when others are added. Copies
and images whose difference hashes are near one another (`similar.NEAR` bits) are one group.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wordmask.annotate.similar import group_similar
from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordmask.annotate.labelled import LabelledSet

__all__ = ["parse_splits", "split_of_images"]


def parse_splits(text: str | None) -> dict[str, float] | None:
    """Return fractions by name for `train=0.8,val=0.2`.

    Raises:
        DataError: If it is none, or the fractions do not add up to 1.
    """
    if text is None:
        return None
    try:
        pairs = [part.partition("=") for part in text.split(",")]
        splits = {name.strip(): float(value) for name, _, value in pairs}
        if abs(sum(splits.values()) - 1) > 1e-6 or min(splits.values()) <= 0 or not all(map(str.isidentifier, splits)):
            raise ValueError
    except ValueError:
        expected = "names and fractions that add up to 1"
        raise DataError(sentence(f"the splits {quote(text)}", expected, "write train=0.8,val=0.2")) from None
    return splits


def split_of_images(labelled: LabelledSet, splits: Mapping[str, float] | None, seed: int) -> dict[str, str]:
    """Return the split of every image by its name; `train` for all where there are no splits."""
    names, contents = [], []
    for image in labelled:
        names.append(image.name)
        contents.append(image.content)
    if not splits:
        return dict.fromkeys(names, "train")
    group_of = dict(zip(contents, _groups(labelled, contents), strict=True))
    places = {group: _place(group, seed) for group in set(group_of.values())}
    chosen = _filled({group: _split(place, splits) for group, place in places.items()}, places, splits)
    return {name: chosen[group_of[content]] for name, content in zip(names, contents, strict=True)}


def _groups(labelled: LabelledSet, contents: Sequence[str]) -> list[str]:
    """For each image a content that stands for its group: the first in the order of hashes."""
    unique = sorted(set(contents))
    alike = group_similar([labelled.difference_hash(content) for content in unique])
    first = {content: unique[group] for content, group in zip(unique, alike, strict=True)}
    return [first[content] for content in contents]


def _place(content: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {content}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _split(place: float, splits: Mapping[str, float]) -> str:
    upper = 0.0
    for name, fraction in splits.items():
        upper += fraction
        if place < upper:
            return name
    return list(splits)[-1]


def _filled(chosen: dict[str, str], places: Mapping[str, float], splits: Mapping[str, float]) -> dict[str, str]:
    """Give an empty split one group of the largest, where there are enough."""
    for name in splits:
        counts = {other: sum(split == other for split in chosen.values()) for other in splits}
        largest = max(counts, key=lambda other: counts[other])
        if not counts[name] and counts[largest] > 1:
            moved = min((g for g, split in chosen.items() if split == largest), key=lambda g: places[g])
            chosen[moved] = name
    return chosen
