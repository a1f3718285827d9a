"""Text-query cross-attention: the queries of a mask decoder read the tokens of the prompts, in every decoder layer.

The layer of prompt-guided mask proposals (Li et al., arXiv 2412.10292). The paper names the mechanism and not its
equations; two readings are offered:

    gated     X <- X + g * MHA(LN(X) + P, T, T)     g in R^C; with g = 0 the layer is the identity, bit for bit
    postnorm  X <- LN(X + MHA(X + P, T, T))         the sub-layer of a DETR decoder, never the identity

X are query states, P their positions, T projected prompt tokens. Prompts have no order: permuting them changes nothing.

    guidance = PromptGuidance(text_channels=512, channels=256, layers=9)
    memories = guidance(PromptTokens(tokens))              # keys and values of each layer: once per vocabulary
    queries = guidance.guide(0, queries, memories, positions)   # after the self-attention of layer 0, and so on
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["KINDS", "VARIANTS", "Memories", "PromptGuidance", "PromptTokens", "TextMemory", "TextQueryAttention"]

VARIANTS = ("gated", "postnorm")
KINDS = ("sentence", "word", "image")
"""Kinds of prompt tokens: one embedding per prompt, one per word of it, one per example image."""


class PromptTokens(NamedTuple):
    """Tokens of the prompts of B images.

    Attributes:
        tokens: float `(B, T, D)`, or `(1, T, D)` for one vocabulary that all images share.
        padding: bool `(B, T)`, True where there is no token; None where all are tokens. A row of nothing but padding
            is an image without a prompt.
        kinds: int64 `(B, T)`, index into `KINDS`; None where all tokens are of the first kind.
    """

    tokens: Tensor
    padding: Tensor | None = None
    kinds: Tensor | None = None


class TextMemory(NamedTuple):
    """Keys and values that one layer reads; they depend on the prompts alone.

    Attributes:
        keys: float `(B, heads, T, C / heads)`; B may be 1 for any number of images.
        values: float, the same shape.
        visible: bool `(B, 1, 1, T)`, True where a token may be attended to; None where all may.
        unguided: bool `(B, 1, 1)`, True for images without a prompt, whose queries stay as they are; None for none.
    """

    keys: Tensor
    values: Tensor
    visible: Tensor | None = None
    unguided: Tensor | None = None


Memories: TypeAlias = "tuple[TextMemory, ...]"
"""One memory per layer."""


class TextQueryAttention(nn.Module):
    """One layer of multi-head cross-attention from queries to prompt tokens.

    It has 4 C^2 + 7 C parameters: 263,936 at C = 256. The attention weights of a closed gate get no gradient until the
    gate has moved, so their first optimiser step comes second.

    Args:
        channels: Width C of the queries.
        heads: Attention heads.
        variant: `"gated"` or `"postnorm"`, see the module.
        gate: Initial value of the gate: 0 leaves a trained decoder as it is, 1 is for training from nothing.
    """

    def __init__(self, channels: int, *, heads: int = 8, variant: str = "gated", gate: float = 0.0) -> None:
        super().__init__()
        assert variant in VARIANTS, variant
        assert channels % heads == 0, (channels, heads)
        self.heads, self.variant = heads, variant
        self.norm = nn.LayerNorm(channels)
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        if variant == "gated":
            self.gate = nn.Parameter(torch.full((channels,), float(gate)))

    def memory(self, tokens: Tensor, padding: Tensor | None = None, unguided: Tensor | None = None) -> TextMemory:
        """Return the keys and values of projected tokens.

        Args:
            tokens: float `(B, T, C)`.
            padding: bool `(B, T)`, True where there is no token.
            unguided: bool `(B,)`, True for images without a prompt.
        """
        visible = None if padding is None else ~padding[:, None, None]
        rows = None if unguided is None else unguided[:, None, None]
        if visible is not None and rows is not None:
            visible = visible | rows[:, None]  # softmax over nothing would be NaN, in the backward pass too
        return TextMemory(self._by_head(self.key(tokens)), self._by_head(self.value(tokens)), visible, rows)

    def forward(self, queries: Tensor, memory: TextMemory, positions: Tensor | None = None) -> Tensor:
        """Return the guided queries `(B, Q, C)`.

        Args:
            queries: float `(B, Q, C)`.
            memory: What `memory` made of the prompts.
            positions: float `(Q, C)` or `(B, Q, C)`, positions of the queries; None adds none.
        """
        if self.variant == "gated":
            guided = queries + self.gate * self._attended(self.norm(queries), memory, positions)
        else:
            guided = self.norm(queries + self._attended(queries, memory, positions))
        return guided if memory.unguided is None else torch.where(memory.unguided, queries, guided)

    def _attended(self, queries: Tensor, memory: TextMemory, positions: Tensor | None) -> Tensor:
        asked = self._by_head(self.query(queries if positions is None else queries + positions))
        keys, values = (part.expand(len(queries), -1, -1, -1) for part in (memory.keys, memory.values))
        read = F.scaled_dot_product_attention(asked, keys, values, attn_mask=memory.visible)  # (B, heads, Q, C / heads)
        attended: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return attended

    def _by_head(self, values: Tensor) -> Tensor:
        """`(B, L, C)` -> `(B, heads, L, C / heads)`."""
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)


class PromptGuidance(nn.Module):
    """The text-query attention of all layers of a decoder, behind one projection of the prompt tokens.

    With a single token and no null token, attention adds the same vector to every query, whatever the query is; the
    null token, which is always there, lets a query decline.

    Args:
        text_channels: Width D of the prompt tokens.
        channels: Width C of the queries.
        layers: Number of layers that are guided.
        heads: Attention heads.
        variant: `"gated"` or `"postnorm"`, see the module.
        gate: Initial value of the gates: 0 closed, 1 open.
        null: Whether there is a null token.
        kinds: Whether the kinds of tokens are told apart, by a learned embedding of each of `KINDS`.
    """

    def __init__(
        self,
        *,
        text_channels: int,
        channels: int,
        layers: int,
        heads: int = 8,
        variant: str = "gated",
        gate: float = 0.0,
        null: bool = True,
        kinds: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(text_channels)
        self.projection = nn.Linear(text_channels, channels)
        self.layers = nn.ModuleList(
            TextQueryAttention(channels, heads=heads, variant=variant, gate=gate) for _ in range(layers)
        )
        self.null = nn.Parameter(torch.randn(channels) * channels**-0.5) if null else None
        self.kinds = nn.Embedding(len(KINDS), channels) if kinds else None
        if self.kinds is not None:
            nn.init.zeros_(self.kinds.weight)

    def forward(self, prompts: PromptTokens | None) -> Memories | None:
        """Return the keys and values of every layer, or None where there is no prompt at all.

        What stands at padded places is never read. They may be dropped, so appending some changes no bit.
        """
        if prompts is None or prompts.tokens.shape[1] == 0:
            return None
        tokens, padding, kinds = prompts
        unguided = None
        if padding is not None:
            columns = ~padding.all(dim=0)
            if not columns.any():
                return None
            tokens, padding = tokens[:, columns].masked_fill(padding[:, columns, None], 0), padding[:, columns]
            kinds = None if kinds is None else kinds[:, columns]
            unguided = padding.all(dim=1)
            unguided = unguided if unguided.any() else None
        projected = self.projection(self.norm(tokens))  # (B, T, C)
        if self.kinds is not None:
            projected = projected + self.kinds(
                projected.new_zeros(projected.shape[:2]).long() if kinds is None else kinds
            )
        projected, padding = self._with_null(projected, padding)
        return tuple(layer.memory(projected, padding, unguided) for layer in self.attentions)

    def guide(self, layer: int, queries: Tensor, memories: Memories | None, positions: Tensor | None = None) -> Tensor:
        """Return queries `(B, Q, C)` after the attention of a layer; without a prompt they stay the same tensor."""
        if memories is None:
            return queries
        guided: Tensor = self.layers[layer](queries, memories[layer], positions)
        return guided

    @property
    def attentions(self) -> tuple[TextQueryAttention, ...]:
        """The layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, TextQueryAttention))

    def _with_null(self, tokens: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.null is None:
            return tokens, padding
        tokens = torch.cat([self.null.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1)
        return tokens, None if padding is None else F.pad(padding, (1, 0), value=False)
