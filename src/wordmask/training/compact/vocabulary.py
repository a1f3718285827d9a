"""The vector each known phrase is trained towards: CLIP vectors of nouns, and sums of them for other names."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def clean(name: str) -> str:
    """LVIS spelling -> the words a person would type: underscores to blanks, no bracketed remark."""
    return re.sub(r"\s+", " ", re.sub(r"\(.*?\)", "", name.replace("_", " ").replace("-", " "))).strip().lower()


def random_unit(word: str, channels: int) -> NDArray[np.float32]:
    """A fixed random direction (channels,) for a word without a vector."""
    vector = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(channels)
    unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


class PhraseTargets:
    """Phrase -> unit vector.

    LVIS nouns: their CLIP vector, mean over nouns removed, unit length. Other names: a sum of their words' vectors,
    where a word without a CLIP vector has a fixed random direction.

    Args:
        folder: with `lvis_names.json` (name, synonyms, def) and `lvis_clip_vitb32.npy` (N, 512).
        facts: `preferred_noun` (word -> LVIS name), `synonyms` (name -> words of its meaning), `kin` (name -> names
            that its vector leans towards), `side_words` (words that turn a vector rather than name a thing).
        names: other names to give a vector.

    Attributes:
        words: phrase -> (512,) unit vector.
        nouns: LVIS names as a person would type them.
        vectors: (N, 512) their vectors.
        definitions: definition -> vector.
        main_name: bytes of a noun's vector -> the noun.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], names: Iterable[str]) -> None:
        entries = json.loads((folder / "lvis_names.json").read_text(encoding="utf-8"))
        raw = np.load(folder / "lvis_clip_vitb32.npy").astype(np.float32)
        centred = raw - raw.mean(0)
        self.vectors: NDArray[np.float32] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        self.channels = self.vectors.shape[1]
        self.facts = facts
        self.nouns = [clean(e["name"]) for e in entries]
        self.main_name = {v.tobytes(): n for n, v in zip(self.nouns, self.vectors, strict=True)}
        self.words: dict[str, NDArray[np.float32]] = {}
        self.definitions: dict[str, NDArray[np.float32]] = {}
        for vector, entry in zip(self.vectors, entries, strict=True):
            for synonym in [entry["name"], *entry["synonyms"]]:
                self.words.setdefault(clean(synonym), vector)
            if entry.get("def"):
                self.definitions[entry["def"].lower()] = vector
        by_name = {e["name"]: i for i, e in enumerate(entries)}
        for word, noun in facts.get("preferred_noun", {}).items():
            if noun in by_name:
                self.words[word] = self.vectors[by_name[noun]]
        self.names = sorted(set(names))
        for name in self.names:
            self.words[name] = self.of(name)
        for name, words in facts.get("synonyms", {}).items():
            for word in words:
                self.words[word] = self.of(name)

    def of(self, name: str) -> NDArray[np.float32]:
        """A noun's CLIP vector; otherwise the sum of its words' and its kin's, with a direction of its own."""
        plain = clean(name)
        for known in (name, plain, plain.removesuffix("s"), plain.removesuffix("es")):
            if known in self.words:
                return self.words[known]
        parts = plain.split() if len(plain.split()) > 1 else []
        total = 0.7 * random_unit(plain, self.channels)
        sides = self.facts.get("side_words", ())
        for part in parts:
            total = total + (0.6 * random_unit(part, self.channels) if part in sides else self.of(part))
        for kin in self.facts.get("kin", {}).get(name, []):
            total = total + self.of(kin)
        unit: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
        return unit
