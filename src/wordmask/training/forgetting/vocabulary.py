"""Phrases that a training does not ask for: fixed lists of words, and how they are told from trained ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wordmask.training.inspection import phrase_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.data.sample import Sample

__all__ = ["EVERYDAY", "FAR_AWAY", "asked_of", "normalised", "unmentioned"]

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


def normalised(phrase: str) -> str:
    """Return a phrase as phrases are compared: case and spaces do not count."""
    return " ".join(phrase.casefold().split())


def asked_of(sample: Sample) -> list[str]:
    """Return the phrases of a sample's queries."""
    return [phrase_of(query.prompt) or query.label for query in sample.queries]


def unmentioned(words: Iterable[str], phrases: Iterable[str]) -> tuple[str, ...]:
    """Return the words that no phrase holds, as one or many: "cups" and "the red cup" hold "cup"."""
    text = "\n".join(map(normalised, phrases))
    return tuple(word for word in words if not re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text))
