"""CLIP's vision tower as CLIPSeg uses it: read out in the middle, stopped after the last read-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.clipseg.position_table import resize_position_table
from wordmask.ops.attention import attend_by_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.methods.clipseg.token_mask import TokenMask

QUICK_GELU = 1.702
"""CLIP's activation is x * sigmoid(1.702 x), which is silu(1.702 x) / 1.702: the factors go into the weights."""
TABLES_KEPT = 16
"""Position tables of that many picture shapes stay in memory (1.5 MB each at 352 px)."""


class VisionBlock(nn.Module):
    """A pre-norm transformer block with the query, key and value products joined and the activation's factor folded in.

    Args:
        layer: The block of transformers' CLIP that it takes the (frozen) weights of.
        heads: Attention heads.
        activation: The name in the checkpoint's settings: `"quick_gelu"` or `"gelu"`.
    """

    def __init__(self, layer: Any, heads: int, activation: str) -> None:
        super().__init__()
        if activation not in ("quick_gelu", "gelu"):
            got = f"the activation {quote(activation)} in the vision tower"
            raise CheckpointError(sentence(got, "'quick_gelu' or 'gelu'", "use a CLIP checkpoint"))
        factor = QUICK_GELU if activation == "quick_gelu" else 1.0
        attention = layer.self_attn
        self.heads = heads
        self.activation = F.silu if activation == "quick_gelu" else F.gelu
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.mix = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = attention.out_proj
        self.fc1 = _scaled(layer.mlp.fc1, factor, bias_factor=factor)
        self.fc2 = _scaled(layer.mlp.fc2, 1 / factor, bias_factor=1.0)

    def forward(self, tokens: Tensor, factors: Tensor | None = None) -> Tensor:
        """Tokens (B, L, C) -> (B, L, C); `factors` (B, 1, L, L) multiply the attention scores."""
        tokens = tokens + self._attend(self.norm1(tokens), factors)
        hidden = self.activation(self.fc1(self.norm2(tokens)))
        out: Tensor = tokens + self.fc2(hidden)
        return out

    def _attend(self, tokens: Tensor, factors: Tensor | None) -> Tensor:
        batch, length, channels = tokens.shape
        query, key, value = self.mix(tokens).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if factors is None:
            read = _fast_attention(tokens)(query, key, value)
        else:
            scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
            read = torch.softmax(scores * factors.to(scores.dtype), dim=-1) @ value
        out: Tensor = self.out(read.transpose(1, 2).reshape(batch, length, channels))
        return out


def _fast_attention(tokens: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The attention that was measured to be the faster one for tokens of this type, on this device."""
    is_reduced_on_cpu = tokens.dtype == torch.bfloat16 and tokens.device.type == "cpu"
    return attend_by_head if is_reduced_on_cpu and not tokens.requires_grad else F.scaled_dot_product_attention


class VisualTower(nn.Module):
    """Pictures to read-outs, or to one condition vector.

    Any height and width that the patch size divides will do; the grid need not be square.

    Args:
        clip: A CLIP model with its weights; its vision tower is taken over and left empty of blocks.
        extract_layers: Blocks (from 0) whose outputs the read-outs are.
    """

    kind = "clipseg"

    def __init__(self, clip: Any, *, extract_layers: Sequence[int]) -> None:
        super().__init__()
        vision, config = clip.vision_model, clip.vision_model.config
        self.extract_layers = tuple(extract_layers)
        self.patch = int(config.patch_size)
        self.patches = vision.embeddings.patch_embedding
        self.class_token = vision.embeddings.class_embedding
        self.positions = vision.embeddings.position_embedding.weight
        self.norm_in, self.norm_out = vision.pre_layrnorm, vision.post_layernorm
        self.blocks = nn.ModuleList()
        while len(vision.encoder.layers):  # one by one, so that at most one block's weights are there twice
            layer = vision.encoder.layers.pop(0)
            self.blocks.append(VisionBlock(layer, config.num_attention_heads, config.hidden_act))
        self.projection = clip.visual_projection
        self._tables: dict[tuple[int, int, torch.dtype, torch.device], Tensor] = {}
        self.requires_grad_(False)

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Rows and columns of patches in pictures (B, 3, H, W)."""
        return pixels.shape[2] // self.patch, pixels.shape[3] // self.patch

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Read-outs of normalised pictures (B, 3, H, W): tensors (B, 1 + h * w, C), shallow to deep.

        The blocks after the last read-out do not run.
        """
        tokens, readouts = self._embed(pixels), {}
        for index, block in enumerate(self.blocks[: max(self.extract_layers) + 1]):
            tokens = block(tokens)
            if index in self.extract_layers:
                readouts[index] = tokens
        return [readouts[layer] for layer in self.extract_layers]

    def pooled(self, pixels: Tensor, token_mask: TokenMask | None = None) -> Tensor:
        """Condition vectors (B, channels) of whole pictures (B, 3, H, W): the projected class token, not normalised.

        Args:
            pixels: Normalised pictures.
            token_mask: Lets attention look at a part of them only.
        """
        tokens = self._embed(pixels)
        factors = None if token_mask is None else token_mask.factors(self.grid(pixels))
        for index, block in enumerate(self.blocks):
            masked = token_mask is not None and token_mask.applies_to(index)
            tokens = block(tokens, factors if masked else None)
        out: Tensor = self.projection(self.norm_out(tokens[:, 0]))
        return out

    def _embed(self, pixels: Tensor) -> Tensor:
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(pixels), 1, -1), patches], dim=1)
        out: Tensor = self.norm_in(tokens + self._table(self.grid(pixels), tokens))
        return out

    def _table(self, grid: tuple[int, int], like: Tensor) -> Tensor:
        key = (*grid, like.dtype, like.device)
        if key not in self._tables:
            if len(self._tables) >= TABLES_KEPT:
                self._tables.pop(next(iter(self._tables)))
            self._tables[key] = resize_position_table(self.positions, *grid).to(like)
        return self._tables[key]


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
