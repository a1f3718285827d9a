"""CLIP's text tower (Radford et al., arXiv 2103.00020); what phrases have in common at their beginning is read once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.clip_block import take_blocks
from wordmask.errors import CheckpointError, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import CLIPTokenizer

NODES_AT_ONCE = 512
"""Tokens that pass the tower together, unless one phrase has more; bounds time and memory of their attention."""
LEGACY_END = 2
"""Older configs name this end-of-text token, which is not CLIP's: then it is the one with the highest number."""

Row = tuple[int, ...]


class PrefixTree(NamedTuple):
    """Phrases as a tree of tokens: those that begin alike have the nodes of their beginning in common.

    Attention is causal, so what the tower makes of a token depends on the tokens before it alone: one node stands for
    all phrases through it.

    Attributes:
        tokens: int64 (N,), what each node is.
        places: int64 (N,), its place in the phrase, from 0.
        sees: bool (N, N), True where the node of the column is that of the row or comes before it in its phrase.
        ends: int64 (P,), the last node of each phrase.
    """

    tokens: Tensor
    places: Tensor
    sees: Tensor
    ends: Tensor


def grow_tree(rows: Sequence[Row]) -> PrefixTree:
    """Make the tree of P phrases, each at least one token long."""
    nodes: dict[tuple[int, int], int] = {}  # (node before or -1, token) -> node
    ends = []
    for row in rows:
        node = -1
        for token in row:
            node = nodes.setdefault((node, token), len(nodes))
        ends.append(node)
    sees = np.eye(len(nodes), dtype=bool)
    for node, (before, _) in enumerate(nodes):
        if before >= 0:
            sees[node] |= sees[before]
    tokens = torch.tensor([token for _, token in nodes])
    return PrefixTree(tokens, torch.from_numpy(sees.sum(1) - 1), torch.from_numpy(sees), torch.tensor(ends))


class ClipTextEncoder(nn.Module):
    """Phrases to condition vectors: the projected end-of-text token, not normalised.

    Phrases of more than `context` tokens (77 in CLIP, start and end included) are cut.

    Args:
        clip: A CLIP model of `build_clip` or `build_clip_text` with its weights; its text tower is taken over and left
            empty of blocks.
        tokenizer: The tokenizer those weights were trained with.

    Raises:
        CheckpointError: If the tower has an activation that no CLIP has; in a call, if the tokenizer does not end a
            text as the tower expects it.
    """

    def __init__(self, clip: Any, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        text, config = clip.text_model, clip.text_model.config
        self.tokenizer = tokenizer
        self.context = int(config.max_position_embeddings)
        self.end = int(config.eos_token_id)
        self.tokens, self.positions = text.embeddings.token_embedding, text.embeddings.position_embedding
        self.blocks = take_blocks(text.encoder.layers, config.num_attention_heads, config.hidden_act)
        self.norm = text.final_layer_norm
        self.projection = clip.text_projection

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Encode P phrases, at least one: (P, C)."""
        read = self.tokenizer(list(texts), truncation=True, max_length=self.context)["input_ids"]
        rows = [self._until_end(row) for row in read]
        order = sorted(range(len(rows)), key=lambda index: rows[index])  # phrases that begin alike come together
        back = torch.tensor(order, device=self.norm.weight.device).argsort()
        return torch.cat([self._encode(part) for part in _parts([rows[index] for index in order])])[back]

    def _encode(self, rows: Sequence[Row]) -> Tensor:
        tree = PrefixTree(*(part.to(self.norm.weight.device) for part in grow_tree(rows)))
        attend = partial(F.scaled_dot_product_attention, attn_mask=tree.sees)
        nodes = (self.tokens(tree.tokens) + self.positions(tree.places)).unsqueeze(0)
        for block in self.blocks:
            nodes = block(nodes, attend)
        projected: Tensor = self.projection(self.norm(nodes[0, tree.ends]))
        return projected

    def _until_end(self, row: Sequence[int]) -> Row:
        """The tokens up to the first that ends a text; what comes after it is never looked at."""
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
    """How many tokens two rows have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
