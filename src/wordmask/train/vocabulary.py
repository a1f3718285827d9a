"""Which words a training has seen, and fixed lists of words to ask for what it has not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from wordmask.metrics.mirror import swap_sides
from wordmask.train.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample
    from wordmask.train.recipes import Recipe

__all__ = ["EVERYDAY", "FAR_AWAY", "asked_of", "normalised", "spread", "trained_phrases", "unmentioned"]

T = TypeVar("T")

EVERYDAY = (
    "person", "face", "hand", "hair", "shirt", "shoe", "dog", "cat", "bird", "horse", "car", "bicycle", "bus", "boat",
    "chair", "table", "bed", "cup", "bottle", "plate", "book", "phone", "window", "door", "building", "tree", "grass",
    "flower", "sky", "road",
)  # fmt: skip
"""Common nouns of things that photographs show."""

FAR_AWAY = (
    "volcano", "submarine", "lighthouse", "igloo", "walrus", "harp", "iceberg", "octopus", "camel", "windmill",
    "jellyfish", "totem pole", "parachute", "pyramid", "hot air balloon",
)  # fmt: skip
"""Nouns of things that hardly any photograph shows: where one is not trained, it is taken to be absent."""

READ = 5000
"""Samples whose phrases are read; of a larger set, so many, evenly spaced, and its vocabulary."""


def normalised(phrase: str) -> str:
    """Return a phrase as phrases are compared: case and spaces do not count."""
    return " ".join(phrase.casefold().split())


def asked_of(sample: Sample) -> list[str]:
    """Return the phrases of a sample's queries."""
    return [phrase_of(query.prompt) or query.label for query in sample.queries]


def trained_phrases(dataset: Dataset, usable: Sequence[int], recipe: Recipe) -> frozenset[str]:
    """Return every phrase, normalised, that a training can draw; mirrored ones as well where pictures are mirrored.

    Args:
        dataset: What is trained on.
        usable: Its indices that are.
        recipe: Whether absent names are drawn, and pictures mirrored.
    """
    phrases = set(dataset.names) if len(usable) > READ else set()
    for index in spread(usable, READ):
        sample = dataset[index]
        phrases.update(asked_of(sample))
        if recipe.negatives or not sample.queries:
            phrases.update(sample.absent)
    if recipe.mirror:
        phrases |= {swap_sides(phrase) for phrase in phrases}
    return frozenset(map(normalised, phrases))


def unmentioned(words: Iterable[str], phrases: Iterable[str]) -> tuple[str, ...]:
    """Return the words that no phrase holds, as one or many: "cups" and "the red cup" hold "cup"."""
    text = "\n".join(map(normalised, phrases))
    return tuple(word for word in words if not re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text))


def spread(items: Sequence[T], limit: int) -> tuple[T, ...]:
    """Return at most `limit` of them, evenly spaced."""
    if len(items) <= limit:
        return tuple(items)
    return tuple(items[place * len(items) // limit] for place in range(limit))
