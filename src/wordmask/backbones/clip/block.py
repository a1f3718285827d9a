"""The transformer block of both of CLIP's towers, for inference."""

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

__all__ = ["ClipBlock", "take_blocks"]

QUICK_GELU = 1.702
"""CLIP's activation is x * sigmoid(1.702 x), which is silu(1.702 x) / 1.702: the factors go into the weights."""


class ClipBlock(nn.Module):
    """A pre-norm transformer block with joined query, key and value projections.

    The factor of CLIP's activation function is folded into the weights of the feed-forward layer.

    Args:
        layer: The block of transformers' CLIP whose (frozen) weights are taken over.
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
        self.qkv: nn.Module = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out: nn.Module = attention.out_proj
        self.fc1: nn.Module = _scaled(layer.mlp.fc1, factor, bias_factor=factor)
        self.fc2: nn.Module = _scaled(layer.mlp.fc2, 1 / factor, bias_factor=1.0)

    def forward(self, tokens: Tensor, attention: Attend | None = None) -> Tensor:
        """Apply the block.

        Args:
            tokens: (B, L, C).
            attention: Function of queries, keys and values, each (B, heads, L, C / heads), in place of softmax
                attention to all tokens.

        Returns:
            (B, L, C).
        """
        tokens = tokens + self._attend(self.norm1(tokens), attention)
        hidden = self.activation(self.fc1(self.norm2(tokens)))  # (B, L, 4 C)
        out: Tensor = tokens + self.fc2(hidden)
        return out

    def pack_linears(self) -> None:
        """Replace the linear layers by packed ones (see `packed_linear`): bfloat16 on this CPU from now on."""
        name: Activation = "swish" if isinstance(self.activation, nn.SiLU) else "gelu"
        self.qkv, self.out, self.fc2 = (PackedLinear(_linear(layer)) for layer in (self.qkv, self.out, self.fc2))
        self.fc1, self.activation = PackedLinear(_linear(self.fc1), name), nn.Identity()

    def _attend(self, tokens: Tensor, attention: Attend | None) -> Tensor:
        batch, length, channels = tokens.shape
        qkv = self.qkv(tokens).view(batch, length, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, L, C / heads)
        attended = (attention or attend)(query, key, value)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(batch, length, channels))
        return out


def take_blocks(layers: nn.ModuleList, heads: int, activation: str) -> nn.ModuleList:
    """Turn the layers of a tower into `ClipBlock`s, one at a time: no more than one layer's weights exist twice.

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
