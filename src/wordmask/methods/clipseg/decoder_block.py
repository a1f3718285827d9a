"""One block of the mask decoder: a post-norm transformer layer with ReLU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.packed_linear import PackedLinear
from wordmask.ops.feed_forward import TILE, feed_forward


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for query, key and value.

    Args:
        channels: Channels D, a multiple of `heads`.
        heads: Number of heads.
        dropout: Dropout rate of attention weights in training.
    """

    def __init__(self, channels: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (P, L, D) -> (P, L, D)."""
        prompts, length, channels = tokens.shape
        qkv = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)  # (P, L, 3 D)
        if qkv.dtype == torch.bfloat16 and qkv.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            qkv = qkv.float()  # faster with 16 channels a head (`benchmarks/attention.py`), and rounds less
        qkv = qkv.view(prompts, length, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (P, heads, L, D / heads)
        rate = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        out: Tensor = self.out_proj(attended.transpose(1, 2).reshape(prompts, length, channels).to(tokens.dtype))
        return out


class DecoderBlock(nn.Module):
    """Self-attention and feed-forward, each added to its input and normalised afterwards.

    Parameter names are those of the original files (`blocks.i.*`).

    Args:
        channels: Channels D.
        heads: Attention heads.
        feedforward: Hidden channels of the feed-forward layer.
        dropout: Dropout rate in training.
    """

    def __init__(self, channels: int, heads: int, feedforward: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads, dropout=dropout)
        self.linear1: nn.Linear | PackedLinear = nn.Linear(channels, feedforward)
        self.linear2: nn.Linear | PackedLinear = nn.Linear(feedforward, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (P, L, D) -> (P, L, D)."""
        tokens = self.norm1(tokens + self.dropout(self.self_attn(tokens)))
        out: Tensor = self.norm2(tokens + self.dropout(self._feed_forward(tokens)))
        return out

    def pack_linears(self) -> None:
        """Replace the linear layers by packed ones (see `packed_linear`): inference on this CPU from now on."""
        assert isinstance(self.linear1, nn.Linear)
        assert isinstance(self.linear2, nn.Linear)
        self.linear1, self.linear2 = PackedLinear(self.linear1, "relu"), PackedLinear(self.linear2)

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        up, down = self.linear1, self.linear2
        if isinstance(up, PackedLinear) or isinstance(down, PackedLinear):
            tiles = [down(up(tile)) for tile in torch.split(tokens.flatten(0, 1), TILE)]
            return (tiles[0] if len(tiles) == 1 else torch.cat(tiles)).view(tokens.shape)
        drops = self.training and self.dropout.p > 0
        if drops or tokens.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            out: Tensor = down(self.dropout(F.relu(up(tokens))))
            return out
        return feed_forward(tokens.flatten(0, 1), up.weight, up.bias, down.weight, down.bias).view(tokens.shape)
