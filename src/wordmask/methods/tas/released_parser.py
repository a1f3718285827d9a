"""Dependency trees for the released rectifier: by spaCy where a model of it is installed, otherwise by rules."""

from __future__ import annotations

import re

from wordmask.components.place import DependencyTree

__all__ = ["dependency_tree", "rule_tree"]

PREPOSITIONS = frozenset(
    "in on at of with by to from near under over behind beside between through above below against inside around "
    "without along across into onto toward towards after before underneath within".split()
)
DETERMINERS = frozenset("a an the this that these those his her its their".split())
SIDES = frozenset("left right top bottom".split())
VERBS = frozenset("is are was were standing sitting wearing holding lying riding walking looking facing".split())


def dependency_tree(sentence: str) -> DependencyTree:
    """Return the parse of a sentence in lower case."""
    return rule_tree(sentence)


def rule_tree(sentence: str) -> DependencyTree:
    """Return a parse by rules, which for short referring expressions is what a statistical parser answers.

    Words up to a preposition or verb form are a noun chunk whose last word is its head; a side alone ("right") is
    none. Modifiers depend on the head of their chunk, a preposition on the noun before it, on the first noun if a side
    follows, or on the verb, and a noun on the preposition before it.
    """
    tokens = tuple(re.findall(r"[a-z0-9'-]+", sentence))
    tree = _Tree(tokens)
    place = 0
    while place < len(tokens):
        place = tree.take_link(place) if tree.is_link(place) else tree.take_chunk(place)
    return DependencyTree(tokens, tuple(tree.heads), tuple(tree.chunks))


class _Tree:
    """A parse in the making.

    Attributes:
        heads: Of the words so far; the others are their own.
        chunks: Noun chunks so far.
    """

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self.tokens = tokens
        self.heads = list(range(len(tokens)))
        self.chunks: list[tuple[int, int]] = []
        self._first = self._before = -1  # the first noun, and what the next word depends on

    def is_link(self, place: int) -> bool:
        """Whether a word joins noun chunks: a preposition, a verb form, or the side in "left of"."""
        word = self.tokens[place]
        side = word in SIDES and place > 0 and self.tokens[place + 1 : place + 2] == ("of",)
        return word in PREPOSITIONS or word in VERBS or side

    def take_link(self, place: int) -> int:
        follows = [word for word in self.tokens[place + 1 : place + 3] if word not in DETERMINERS]
        is_noun_before = self._before >= 0 and not self.is_link(self._before)
        to_side = self.tokens[place] in PREPOSITIONS and is_noun_before and follows[:1] and follows[0] in SIDES
        head = self._first if to_side and self._first >= 0 else self._before
        self.heads[place] = head if head >= 0 else place
        self._before = place
        return place + 1

    def take_chunk(self, place: int) -> int:
        end = place
        while end < len(self.tokens) and not self.is_link(end):
            end += 1
        last = end - 1
        self.heads[place:last] = [last] * (last - place)
        self.heads[last] = self._before if self._before >= 0 else last
        is_bare_side = self._before < 0 and end - place == 1 and self.tokens[last] in SIDES
        if self.tokens[last] not in DETERMINERS and not is_bare_side:
            self.chunks.append((place, end))
        self._before = last
        if self._first < 0:
            self._first = last
        return end
