"""CLIP's text tower; tokens that phrases have in common at their beginning are encoded once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.clip.block import take_blocks
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.prompts.phrases import warn_of_truncation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import CLIPTokenizer

__all__ = ["ClipTextEncoder", "PrefixTree", "build_tree"]

NODES_AT_ONCE = 512
"""Tokens encoded together, unless one phrase has more; bounds time and memory of their attention."""
LEGACY_END = 2
"""Older configs give this as the end-of-text token, which is not CLIP's: then it is the one with the highest id."""

Row = tuple[int, ...]


class PrefixTree(NamedTuple):
    """Phrases as a tree of tokens; phrases that begin alike share the nodes of their beginning.

    Attention is causal, so the activation of a token depends only on the tokens before it: one node stands for all
    phrases through it.

    Attributes:
        tokens: int64 (N,), token id of each node.
        positions: int64 (N,), position of the node in its phrase, from 0.
        visible: bool (N, N), True where the column's node is the row's or precedes it in its phrase.
        ends: int64 (P,), last node of each phrase.
    """

    tokens: Tensor
    positions: Tensor
    visible: Tensor
    ends: Tensor


def build_tree(rows: Sequence[Row]) -> PrefixTree:
    """Return the prefix tree of P token sequences, each at least one token long."""
    nodes: dict[tuple[int, int], int] = {}  # (node before or -1, token) -> node
    ends = []
    for row in rows:
        node = -1
        for token in row:
            node = nodes.setdefault((node, token), len(nodes))
        ends.append(node)
    visible = np.eye(len(nodes), dtype=bool)
    for node, (before, _) in enumerate(nodes):
        if before >= 0:
            visible[node] |= visible[before]
    tokens = torch.tensor([token for _, token in nodes])
    return PrefixTree(tokens, torch.from_numpy(visible.sum(1) - 1), torch.from_numpy(visible), torch.tensor(ends))


class ClipTextEncoder(nn.Module):
    """Encode phrases as CLIP text embeddings: the projected end-of-text token, not normalised.

    Phrases of more than `context` tokens (77 in CLIP, start and end included) are truncated; a `WordmaskWarning` names
    them.

    Args:
        clip: A model of `build_clip` or `build_clip_text` with its weights, which are taken over; its text tower has no
            blocks afterwards.
        tokenizer: The tokenizer those weights were trained with.

    Raises:
        CheckpointError: If the blocks' activation function is one that CLIP does not use, or the tokenizer has more
            tokens than the tower; in a call, if the tokenizer does not end a text as the tower expects it.
    """

    def __init__(self, clip: Any, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        text, config = clip.text_model, clip.text_model.config
        self.tokenizer = tokenizer
        self.context = int(config.max_position_embeddings)
        self.end = config.eos_token_id
        if not isinstance(self.end, int):
            got = f"an eos_token_id {quote(self.end)} in config.json"
            raise CheckpointError(sentence(got, "a token id", "fetch or save the checkpoint again"))
        self.tokens, self.positions = text.embeddings.token_embedding, text.embeddings.position_embedding
        self.blocks = take_blocks(text.encoder.layers, config.num_attention_heads, config.hidden_act)
        self.norm = text.final_layer_norm
        highest, known = max(tokenizer.get_vocab().values(), default=-1), len(self.tokens.weight)
        if highest >= known:
            got = f"a tokenizer with token ids up to {highest}"
            remedy = "copy the tokenizer that the weights were trained with beside config.json"
            raise CheckpointError(sentence(got, f"ids below {known}, the text tower's tokens", remedy))
        self.projection = clip.text_projection

    @property
    def channels(self) -> int:
        """Width of an embedding."""
        return int(self.projection.weight.shape[0])

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings (P, channels) of P phrases, at least one."""
        rows = self._rows(texts)
        order = sorted(range(len(rows)), key=lambda index: rows[index])  # phrases that begin alike come together
        back = torch.tensor(order, device=self.norm.weight.device).argsort()
        return torch.cat([self._encode(part) for part in _parts([rows[index] for index in order])])[back]

    def embed_words(self, texts: Sequence[str]) -> list[Tensor]:
        """Return, for each of P phrases, the embeddings (L, channels) of its tokens and of the end of the text.

        The last one is that of `embed_texts`; the start of the text is left out.
        """
        embedded = []
        for row in self._rows(texts):  # one by one: their lengths differ, and callers keep what they get
            nodes, _ = self._nodes([row])
            embedded.append(self.projection(self.norm(nodes[1:])))
        return embedded

    def _rows(self, texts: Sequence[str]) -> list[Row]:
        """The tokens of phrases, from the start to the end of the text."""
        encoded = self.tokenizer(list(texts), verbose=False)["input_ids"]
        return [self._until_end(self._cut(text, row)) for text, row in zip(texts, encoded, strict=True)]

    def _encode(self, rows: Sequence[Row]) -> Tensor:
        """Token sequences of P phrases -> (P, channels)."""
        nodes, ends = self._nodes(rows)
        projected: Tensor = self.projection(self.norm(nodes[ends]))  # (P, channels)
        return projected

    def _nodes(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Activations (N, C) of the nodes of the rows' prefix tree, and int64 (P,), the last node of each row."""
        tree = PrefixTree(*(part.to(self.norm.weight.device) for part in build_tree(rows)))
        attention = partial(F.scaled_dot_product_attention, attn_mask=tree.visible)
        nodes = (self.tokens(tree.tokens) + self.positions(tree.positions)).unsqueeze(0)  # (1, N, C)
        for block in self.blocks:
            nodes = block(nodes, attention)
        return nodes[0], tree.ends

    def _cut(self, text: str, row: list[int]) -> list[int]:
        """The tokens of a phrase that the tower reads; the last one is always the end of the text."""
        if len(row) <= self.context:
            return row
        warn_of_truncation(text, tokens=len(row), limit=self.context)
        return [*row[: self.context - 1], row[-1]]

    def _until_end(self, row: Sequence[int]) -> Row:
        """The tokens up to the first end-of-text token; what follows does not matter to a causal tower."""
        end = max(row) if self.end == LEGACY_END else self.end
        if end not in row:
            got = f"a tokenizer that ends no text with {end}, the text tower's eos_token_id"
            raise CheckpointError(sentence(got, "the one it was trained with", "copy that one beside config.json"))
        return tuple(row[: row.index(end) + 1])


def _parts(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Split sorted rows into runs whose trees have at most `NODES_AT_ONCE` nodes, or one phrase."""
    part: list[Row] = []
    count = 0
    for row in rows:
        new = len(row) - (_shared(part[-1], row) if part else 0)
        if part and count + new > NODES_AT_ONCE:
            yield part
            part, count, new = [], 0, len(row)
        part.append(row)
        count += new
    yield part


def _shared(one: Row, other: Row) -> int:
    """Length of the common prefix of two rows."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
