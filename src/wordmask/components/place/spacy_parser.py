"""Parsing with spaCy: its dependency trees tell heads, the extent of noun phrases and verbs; the words are the same.

spaCy and a model such as `en_core_web_sm` are optional (`pip install "wordmask[language]"`, then
`python -m spacy download en_core_web_sm`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from wordmask.components.place import lexicon
from wordmask.components.place.parser import Reading
from wordmask.components.place.released import DependencyTree
from wordmask.components.place.words import Words
from wordmask.errors import MissingExtraError, installing, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.components.place.expression import Expression

MODEL = "en_core_web_sm"
"""The model that is loaded unless another is named; the published TAS takes `en_core_web_trf`."""


@lru_cache(maxsize=2)
def load_spacy(model: str = MODEL) -> Any:
    """Load a spaCy pipeline with a dependency parser.

    Raises:
        MissingExtraError: If spaCy or the model is not installed.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError(sentence("no spaCy package", "spaCy", installing("language"))) from error
    try:
        return spacy.load(model, exclude=["ner"])
    except OSError as error:
        remedy = f"python -m spacy download {model}"
        raise MissingExtraError(sentence(f"no spaCy model {quote(model)}", "an installed model", remedy)) from error


def parse_with_spacy(expression: str, pipeline: Any, nested: int = 0) -> Expression:
    """Take a phrase apart as `parse` does, with grammar from spaCy.

    Args:
        expression: Any text.
        pipeline: What `load_spacy` returned.
        nested: How many relations the phrase is inside of.
    """
    words = Words.of(expression)
    guide = _Guide.of(words, pipeline) if len(words) else None
    return Reading(words, partial(_inner, pipeline), nested, guide).read(expression)


def _inner(pipeline: Any, text: str, nested: int) -> Expression:
    return parse_with_spacy(text, pipeline, nested)


def dependency_tree(text: str, pipeline: Any) -> DependencyTree:
    """Return spaCy's parse of a lower-case sentence for the published rectifier."""
    doc = pipeline(text)
    return DependencyTree(
        tuple(token.text for token in doc),
        tuple(token.head.i for token in doc),
        tuple((chunk.start, chunk.end) for chunk in doc.noun_chunks),
    )


@dataclass(frozen=True, eq=False)
class _Guide:
    """A dependency parse in positions of our words.

    Attributes:
        tags: Coarse part of speech of each word.
        ends: For each word the position behind its subtree.
        heads: For each word its head.
        chunks: Noun chunks: start, end, position of the root.
    """

    tags: tuple[str, ...]
    ends: tuple[int, ...]
    heads: tuple[int, ...]
    chunks: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, words: Words, pipeline: Any) -> _Guide:
        """Parse words as they are, but for possessive endings, which spaCy has as tokens of their own."""
        from spacy.tokens import Doc

        tokens: list[str] = []
        owner: list[int] = []
        for place, word in enumerate(words.given):
            pieces = [word[:-2], word[-2:]] if word.endswith("'s") and len(word) > 2 else [word]
            tokens += pieces
            owner += [place] * len(pieces)
        doc = pipeline(Doc(pipeline.vocab, words=tokens))
        first = {place: index for index, place in reversed(list(enumerate(owner)))}
        parsed = [doc[first[place]] for place in range(len(words))]
        return cls(
            tuple(token.pos_ for token in parsed),
            tuple(owner[token.right_edge.i] + 1 for token in parsed),
            tuple(owner[token.head.i] for token in parsed),
            tuple((owner[c.start], owner[c.end - 1] + 1, owner[c.root.i]) for c in doc.noun_chunks),
        )

    def is_verb(self, place: int) -> bool:
        """Return whether a word is a verb with a subject or object beside it, not a participle of place."""
        return self.tags[place] == "VERB" and self.heads[place] != place and place + 1 < len(self.tags)

    def end_of_thing(self, start: int) -> int | None:
        """Return the end of the subtree of the noun whose chunk begins at a position."""
        chunk = next((chunk for chunk in self.chunks if chunk[0] <= start < chunk[1]), None)
        return None if chunk is None else max(chunk[1], self.ends[chunk[2]])

    def head(self, name: Sequence[int]) -> int | None:
        """Return the last noun of the first run of words before a preposition or verb, as the tags have it."""
        kept = set(name)
        for start, end, root in self.chunks:
            if root in kept and self.tags[root] in ("NOUN", "PROPN") and any(i in kept for i in range(start, end)):
                return root
        return None


def noun_chunks(text: str, pipeline: Any) -> tuple[str, ...]:
    """Return the noun phrases of a text, such as a caption, without articles in front."""
    phrases = []
    for chunk in pipeline(text).noun_chunks:
        words = [token.text for token in chunk]
        while words and words[0].lower() in lexicon.DETERMINERS:
            words.pop(0)
        phrases.append(" ".join(words))
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))
