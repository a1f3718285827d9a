"""The transformer block of both of CLIP's towers (Radford et al., arXiv 2103.00020), for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.backbones.packed_linear import PackedLinear
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.ops.attention import attend

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.backbones.packed_linear import Activation

    Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

QUICK_GELU = 1.702
"""CLIP's activation is x * sigmoid(1.702 x), which is silu(1.702 x) / 1.702: the factors go into the weights."""


class ClipBlock(nn.Module):
    """A pre-norm transformer block with the query, key and value products joined and the activation's factor folded in.

    Args:
        layer: The block of transformers' CLIP that it takes the (frozen) weights of.
        heads: Attention heads.
        activation: The name in the checkpoint's settings: `"quick_gelu"` or `"gelu"`.

    Raises:
        CheckpointError: If the activation is another.
    """

    def __init__(self, layer: Any, heads: int, activation: str) -> None:
        super().__init__()
        if activation not in ("quick_gelu", "gelu"):
            got = f"the activation {quote(activation)} in a tower"
            raise CheckpointError(sentence(got, "'quick_gelu' or 'gelu'", "use a CLIP checkpoint"))
        factor = QUICK_GELU if activation == "quick_gelu" else 1.0
        attention = layer.self_attn
        self.heads = heads
        self.activation: nn.Module = nn.SiLU() if activation == "quick_gelu" else nn.GELU()
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.mix: nn.Module = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out: nn.Module = attention.out_proj
        self.fc1: nn.Module = _scaled(layer.mlp.fc1, factor, bias_factor=factor)
        self.fc2: nn.Module = _scaled(layer.mlp.fc2, 1 / factor, bias_factor=1.0)

    def forward(self, tokens: Tensor, look: Attend | None = None) -> Tensor:
        """Tokens (B, L, C) -> (B, L, C).

        Args:
            tokens: (B, L, C).
            look: Reads queries, keys and values, each (B, heads, L, C / heads); None is plain attention to all.
        """
        tokens = tokens + self._attend(self.norm1(tokens), look)
        hidden = self.activation(self.fc1(self.norm2(tokens)))
        out: Tensor = tokens + self.fc2(hidden)
        return out

    def pack_linears(self) -> None:
        """Lay the weights out for bfloat16 on this CPU, the activation joined to its product (see `packed_linear`)."""
        name: Activation = "swish" if isinstance(self.activation, nn.SiLU) else "gelu"
        self.mix, self.out, self.fc2 = (PackedLinear(_linear(layer)) for layer in (self.mix, self.out, self.fc2))
        self.fc1, self.activation = PackedLinear(_linear(self.fc1), name), nn.Identity()

    def _attend(self, tokens: Tensor, look: Attend | None) -> Tensor:
        batch, length, channels = tokens.shape
        query, key, value = self.mix(tokens).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        read = (look or attend)(query, key, value)
        out: Tensor = self.out(read.transpose(1, 2).reshape(batch, length, channels))
        return out


def take_blocks(layers: nn.ModuleList, heads: int, activation: str) -> nn.ModuleList:
    """Turn the layers of a tower into `ClipBlock`s, one by one, so that at most one's weights are there twice.

    Args:
        layers: Of transformers' CLIP, or named like them; empty afterwards.
        heads: Attention heads.
        activation: As for `ClipBlock`.
    """
    blocks = nn.ModuleList()
    while len(layers):
        blocks.append(ClipBlock(layers.pop(0), heads, activation))
    return blocks


def _linear(layer: nn.Module) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    return layer


def _joined(*linears: nn.Linear) -> nn.Linear:
    """One linear layer that computes several of the same input."""
    joined = nn.Linear(1, 1, device="meta")
    joined.weight = nn.Parameter(torch.cat([linear.weight for linear in linears]), requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([linear.bias for linear in linears]), requires_grad=False)
    return joined


def _scaled(linear: nn.Linear, factor: float, *, bias_factor: float) -> nn.Linear:
    """The same linear layer with its weight and bias multiplied."""
    scaled = nn.Linear(1, 1, device="meta")
    scaled.weight = nn.Parameter(linear.weight * factor, requires_grad=False)
    scaled.bias = nn.Parameter(linear.bias * bias_factor, requires_grad=False)
    return scaled
