"""The spatial rectifier of TAS as its code behaves, for comparison with published numbers.

Source: suoych/TAS at 606bb7f with ReCLIP's entity extraction (Subramanian et al., ACL 2022). Its gaps are kept:
"bottom" and "middle" are unknown, sides are searched as substrings of the whole sentence, and any modifier of the head
makes a relation of the head with itself, which blocks the rule. `intended` is the rule that was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LEFT, _RIGHT = ("left", "west"), ("right", "east")
_UP, _DOWN = ("above", "north", "top"), ("below", "south", "under")
_DOWN_IN_SENTENCE = ("below", "south", "underneath")
RELATION_WORDS = frozenset(
    (*_LEFT, *_RIGHT, *_UP, *_DOWN, "bigger", "larger", "closer", "smaller", "tinier", "further", "inside", "within",
     "contained", "between")
)  # fmt: skip
SUPERLATIVE_WORDS = frozenset(
    (*_LEFT, "leftmost", "western", *_RIGHT, "rightmost", "eastern", *_UP, "below", "south", "underneath", "bigger",
     "biggest", "larger", "largest", "closer", "closest", "smaller", "smallest", "tinier", "tiniest", "further",
     "furthest")
)  # fmt: skip
NULL_NOUNS = frozenset("part image side picture half region section".split())


@dataclass(frozen=True)
class DependencyTree:
    """A sentence with a dependency parse.

    Attributes:
        tokens: The words, in lower case.
        heads: For each token the position of its head; a root is its own.
        chunks: Noun chunks as `(start, end)`, in order.
    """

    tokens: tuple[str, ...]
    heads: tuple[int, ...]
    chunks: tuple[tuple[int, int], ...]

    @property
    def root(self) -> int | None:
        """Position of the last root; None of an empty sentence."""
        return max((i for i, head in enumerate(self.heads) if head == i), default=None)

    def children(self, token: int) -> list[int]:
        """Return the positions of a token's children, in order."""
        return [i for i, head in enumerate(self.heads) if head == token and i != token]

    def ancestors(self, token: int) -> set[int]:
        """Return the positions of a token's ancestors, without itself."""
        found: set[int] = set()
        while self.heads[token] != token and self.heads[token] not in found:
            token = self.heads[token]
            found.add(token)
        return found

    def text(self, span: tuple[int, int]) -> str:
        """Return the words of a span."""
        return " ".join(self.tokens[slice(*span)])

    def chunk_of(self, token: int) -> tuple[int, int] | None:
        """Return the noun chunk that a token is in."""
        return next((chunk for chunk in self.chunks if chunk[0] <= token < chunk[1]), None)


@dataclass(frozen=True)
class Entity:
    """A noun with what is said of it.

    Attributes:
        text: Its noun chunk with the modifiers around it.
        relations: Words on the way to another entity, and that entity.
        superlatives: Words on the way to a superlative, with it.
    """

    text: str
    relations: tuple[tuple[tuple[str, ...], Entity], ...] = ()
    superlatives: tuple[tuple[str, ...], ...] = ()


def target_phrase(tree: DependencyTree) -> str:
    """Return the noun chunk of the root, of its first child, or else the whole sentence."""
    if tree.root is None:
        return ""
    chunk = tree.chunk_of(tree.root)
    children = tree.children(tree.root)
    if chunk is None and children:
        chunk = tree.chunk_of(children[0])
    return tree.text(chunk) if chunk else " ".join(tree.tokens)


def extract_entity(tree: DependencyTree, head: int | None = None) -> Entity | None:
    """Return the entity at a token, by default at the root or else at the first noun chunk; None where there is none.

    Args:
        tree: The parse.
        head: Position of the token.
    """
    spans = _expanded(tree)
    if head is not None:
        return _extract(tree, spans, head)
    if tree.root is None:
        return None
    found = _extract(tree, spans, tree.root)
    if found is None and tree.chunks:
        start, end = tree.chunks[0]
        roots = [i for i in range(start, end) if not start <= tree.heads[i] < end or tree.heads[i] == i]
        found = _extract(tree, spans, roots[0] if roots else end - 1)
    return found


def _expanded(tree: DependencyTree) -> dict[int, tuple[int, int]]:
    """For each token of a noun chunk the chunk with the descendants around it that belong to no other chunk."""
    table = {i: chunk for chunk in tree.chunks for i in range(*chunk)}
    above = [tree.ancestors(i) for i in range(len(tree.tokens))]
    spans: dict[int, tuple[int, int]] = {}
    for key, (start, end) in table.items():
        own = set(range(start, end))
        others = {i for other, chunk in table.items() if other != key for i in range(*chunk)}
        blocked = set().union(*(above[i] for i in others)) if others else set[int]()
        first, last = start, end
        for i in range(start - 1, -1, -1):
            if above[i] & own and i not in blocked:
                first = i
        for i in range(end, len(tree.tokens)):
            if above[i] & own:
                if i in blocked or i in others:
                    break
                last = i + 1
        spans[key] = (first, last)
    return spans


def _extract(tree: DependencyTree, spans: dict[int, tuple[int, int]], head: int) -> Entity | None:
    if head not in spans:
        children = tree.children(head)
        if not children or children[0] not in spans:
            return None
        head = children[0]
    relations: list[tuple[tuple[int, ...], int]] = []
    superlatives: list[tuple[int, ...]] = []
    _walk(tree, spans, head, head, (), relations, superlatives)
    entities = [(path, _extract(tree, spans, token)) for path, token in relations]
    return Entity(
        tree.text(spans[head]),
        tuple((_words_of(tree, path), entity) for path, entity in entities if entity is not None),
        tuple(_words_of(tree, path) for path in superlatives),
    )


def _words_of(tree: DependencyTree, path: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(tree.tokens[i] for i in sorted(path))


def _walk(
    tree: DependencyTree, spans: dict[int, tuple[int, int]], head: int, token: int, path: tuple[int, ...],
    relations: list[tuple[tuple[int, ...], int]], superlatives: list[tuple[int, ...]],
) -> None:  # fmt: skip
    """Collect relations and superlatives below a token. Every token of a chunk has a span of its own, so that two
    tokens of one chunk count as two entities, as in the published code.
    """
    word = tree.tokens[token]
    keyword = word in RELATION_WORDS or word in NULL_NOUNS
    if token in spans and token != head and not keyword:
        relations.append((path, token))
        return
    children = tree.children(token)
    if not children:
        if any(tree.tokens[i] in SUPERLATIVE_WORDS for i in (*path, token)):
            superlatives.append((*path, token))
        return
    further = token not in spans or keyword or word in SUPERLATIVE_WORDS
    for child in children:
        _walk(tree, spans, head, child, (*path, token) if further else path, relations, superlatives)


def rectify(scores: Sequence[float], centres: Sequence[tuple[float, float]], cue: tuple[str, ...]) -> int:
    """Return the best region of a quadrant or half.

    Args:
        scores: Of N regions.
        centres: `(row, column)` of each, as whole numbers.
        cue: Sides, of "left", "right", "top", "bottom"; () takes the best of all.

    Returns:
        Position of the region; that of the best of all where the quadrant is empty.
    """
    values, points = np.asarray(scores, dtype=np.float64), np.asarray(centres, dtype=np.float64).reshape(-1, 2)
    best = int(np.argmax(values)) if len(values) else 0
    if not cue or not len(values):
        return best
    quadrants = _quadrants(values, points, best)
    top_left, bottom_left, top_right, bottom_right = quadrants
    table = {
        ("top", "left"): (top_left,), ("top", "right"): (top_right,), ("bottom", "left"): (bottom_left,),
        ("bottom", "right"): (bottom_right,), ("top",): (top_left, top_right), ("bottom",): (bottom_left, bottom_right),
        ("left",): (top_left, bottom_left), ("right",): (top_right, bottom_right),
    }  # fmt: skip
    options = table[tuple(sorted(cue, key=lambda side: side in ("left", "right")))]
    chosen = options[0] if len(options) == 1 or options[0][0] > options[1][0] else options[1]
    return chosen[1]


def _quadrants(
    values: NDArray[np.float64], points: NDArray[np.float64], best: int
) -> tuple[tuple[float, int], tuple[float, int], tuple[float, int], tuple[float, int]]:
    """Score and position of the best region in each quadrant: top left, bottom left, top right, bottom right."""
    row, column = np.median(points, axis=0)
    high, west = points[:, 0] < row, points[:, 1] < column

    def of(inside: NDArray[np.bool_]) -> tuple[float, int]:
        places = np.flatnonzero(inside)
        if not len(places):
            return 0.0, best
        place = int(places[np.argmax(values[places])])
        return float(values[place]), place

    return of(high & west), of(~high & west), of(high & ~west), of(~high & ~west)


def _has(sentence: str, words: Sequence[str]) -> bool:
    return any(word in sentence for word in words)


def _sentence_cue(sentence: str) -> tuple[str, ...]:
    """The sides that a sentence contains as substrings, vertical first."""
    across = ("left",) if _has(sentence, _LEFT) else ("right",) if _has(sentence, _RIGHT) else ()
    if _has(sentence, _UP):
        return ("top", *across)
    if _has(sentence, _DOWN_IN_SENTENCE):
        return ("bottom", *across)
    return across


def _relation_cue(words: Sequence[str], entity: str, head: str, sentence: str) -> tuple[str, ...] | None:
    """The sides of a relation: its first side word, if that belongs to the head, with the sentence's other axis."""
    for word in words:
        if word not in (*_LEFT, *_RIGHT, *_UP, *_DOWN):
            continue
        if entity != head and word not in entity:
            return None
        if word in (*_LEFT, *_RIGHT):
            side = "left" if word in _LEFT else "right"
            upright = ("top",) if _has(sentence, _UP) else ("bottom",) if _has(sentence, _DOWN) else ()
            return (*upright, side)
        side = "top" if word in _UP else "bottom"
        across = ("left",) if _has(sentence, _LEFT) else ("right",) if _has(sentence, _RIGHT) else ()
        return (side, *across)
    return None


def released(tree: DependencyTree, scores: Sequence[float], centres: Sequence[tuple[float, float]]) -> int:
    """Return the region that the published rectifier chooses.

    Args:
        tree: Parse of the lower-case sentence.
        scores: Of N regions; with none the answer is 0.
        centres: `(row, column)` of each, as whole numbers: the mean positions of its pixels, cut to integers.
    """
    entity = extract_entity(tree)
    if entity is None or entity.text != target_phrase(tree):
        return rectify(scores, centres, ())
    sentence = " ".join(tree.tokens)
    if entity.superlatives and not entity.relations:
        return rectify(scores, centres, _sentence_cue(sentence))
    cue: tuple[str, ...] = ()
    if entity.relations and not entity.superlatives:
        chunks = {tree.text(chunk) for chunk in tree.chunks}
        for words, other in entity.relations:
            if words and other.text in chunks:
                cue = _relation_cue(words, other.text, entity.text, sentence) or cue
    return rectify(scores, centres, cue)
