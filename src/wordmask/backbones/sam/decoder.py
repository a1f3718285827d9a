"""SAM's prompt encoder and mask decoder, with the work that boxes of one image share done once.

The same function as transformers' `SamMaskDecoder`, rearranged: the first layer's projections of the image are computed
for all prompts together, positions are projected once, the output projection is folded into the values of the few
tokens, and transposed convolutions of stride 2 are matrix products. 16 boxes take a quarter of the time in bfloat16
(`benchmarks/box_masks.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BoxMasks", "SamDecoder"]

CHUNK = 4
"""Prompts decoded together: their image features fit the cache."""


class BoxMasks(NamedTuple):
    """Masks of N prompts.

    Attributes:
        logits: float `(N, K, h, w)`; K is 1, or 3 with `several`.
        quality: float `(N, K)`, predicted IoU.
    """

    logits: Tensor
    quality: Tensor


class SamDecoder(nn.Module):
    """Boxes or points to masks, against the embedding of one image.

    Args:
        model: transformers' `SamModel`; its prompt encoder stays float32, since coordinates need it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.prompt_encoder, self.decoder = model.prompt_encoder, model.mask_decoder
        positions = model.get_image_wide_positional_embeddings().detach()  # (1, C, h, w)
        self.register_buffer("positions", positions.flatten(2).transpose(1, 2), persistent=False)
        self.positions: Tensor
        self.grid = (int(positions.shape[2]), int(positions.shape[3]))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move everything; the prompt encoder is then float32 again."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.prompt_encoder.float()
        return self

    def embed_boxes(self, boxes: Tensor) -> Tensor:
        """Return prompt tokens float32 `(N, 2, C)` of boxes `(N, 4)`, XYXY in pixels of the canvas."""
        tokens: Tensor = self.prompt_encoder._embed_boxes(boxes[None].float())[0]
        return tokens

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """Return prompt tokens float32 `(N, M + 1, C)` of points.

        Args:
            points: float `(N, M, 2)`, (x, y) in pixels of the canvas.
            labels: int `(N, M)`: 1 on the object, 0 beside it.
        """
        tokens: Tensor = self.prompt_encoder._embed_points(points[None].float(), labels[None], pad=True)[0]
        return tokens

    def forward(
        self, embedding: Tensor, tokens: Tensor, *, extra: Tensor | None = None, several: bool = False,
        head: tuple[Tensor, nn.Module] | None = None,
    ) -> BoxMasks:  # fmt: skip
        """Decode N prompts.

        Args:
            embedding: float `(1, C, h, w)`, the image's.
            tokens: float `(N, T, C)`, from `embed_boxes` or `embed_points`.
            extra: float `(1, C / 8, 4 h, 4 w)`, added to the upscaled features of every prompt; None adds nothing.
            several: Whether the three masks for ambiguous prompts are returned in place of the single one.
            head: Token `(1, C)` and network in the place of the single mask's own.
        """
        parts = [
            self._decode(embedding, tokens[start : start + CHUNK], extra, several, head)
            for start in range(0, len(tokens), CHUNK)
        ]
        if not parts:
            count, side = (3 if several else 1), (4 * self.grid[0], 4 * self.grid[1])
            return BoxMasks(embedding.new_zeros(0, count, *side), embedding.new_zeros(0, count))
        return BoxMasks(torch.cat([part.logits for part in parts]), torch.cat([part.quality for part in parts]))

    def _decode(
        self, embedding: Tensor, prompts: Tensor, extra: Tensor | None, several: bool,
        head: tuple[Tensor, nn.Module] | None,
    ) -> BoxMasks:  # fmt: skip
        decoder, count = self.decoder, len(prompts)
        masks = decoder.mask_tokens.weight
        if head is not None:
            masks = torch.cat([head[0].to(masks), masks[1:]])
        own = torch.cat([decoder.iou_token.weight, masks])
        tokens = torch.cat([own[None].expand(count, -1, -1), prompts.to(own)], dim=1)  # (N, 1 + masks + T, C)
        image = embedding.to(own) + self.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).to(own)
        queries, cells = self._attend(tokens, image.flatten(2).transpose(1, 2))
        chosen = slice(1, None) if several else slice(0, 1)
        networks = list(decoder.output_hypernetworks_mlps)
        networks = [networks[0] if head is None else head[1], *networks[1:]][chosen]
        first = 2 if several else 1
        weights = [network(queries[:, first + index]) for index, network in enumerate(networks)]
        upscaled = self._upscale(cells)  # (N, cells * 16, C / 8), each cell's 4 x 4 pixels together
        if extra is not None:
            upscaled = upscaled + self._by_cell(extra.to(upscaled))
        logits = self._to_map(torch.bmm(upscaled, torch.stack(weights, dim=2)))
        return BoxMasks(logits, decoder.iou_prediction_head(queries[:, 0])[:, chosen])

    def _attend(self, tokens: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The two-way transformer: tokens (N, T, C), cells (1, h * w, C) shared by all prompts."""
        network, queries = self.decoder.transformer, tokens
        for layer in network.layers:
            if layer.skip_first_layer_pe:
                queries = _attention(layer.self_attn, queries, queries, queries)
            else:
                placed = queries + tokens
                queries = queries + _attention(layer.self_attn, placed, placed, queries)
            queries = layer.layer_norm1(queries)
            queries = layer.layer_norm2(
                queries + self._to_image(layer.cross_attn_token_to_image, queries + tokens, cells)
            )
            queries = layer.layer_norm3(queries + layer.mlp(queries))
            cells = layer.layer_norm4(
                self._from_tokens(layer.cross_attn_image_to_token, cells, queries + tokens, queries)
            )
        final = network.final_attn_token_to_image
        queries = network.layer_norm_final_attn(queries + self._to_image(final, queries + tokens, cells))
        return queries, cells

    def _to_image(self, layer: Any, queries: Tensor, cells: Tensor) -> Tensor:
        """Tokens (N, T, C) attend to the image's cells, (1 or N, h * w, C)."""
        keys = layer.k_proj(cells) + F.linear(self.positions, layer.k_proj.weight)
        query, key, value = (
            _heads(rows, layer.num_attention_heads) for rows in (layer.q_proj(queries), keys, layer.v_proj(cells))
        )
        count = len(queries)
        mixed = F.scaled_dot_product_attention(query, key.expand(count, -1, -1, -1), value.expand(count, -1, -1, -1))
        out: Tensor = layer.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _from_tokens(self, layer: Any, cells: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Cells (1 or N, h * w, C) plus what they read from the tokens (N, T, C); returns (N, h * w, C)."""
        count, heads = len(keys), layer.num_attention_heads
        queries = layer.q_proj(cells) + F.linear(self.positions, layer.q_proj.weight)
        query, key = _heads(queries, heads).expand(count, -1, -1, -1), _heads(layer.k_proj(keys), heads)
        scores = (torch.matmul(query, key.transpose(-1, -2)) * layer.scaling).softmax(dim=-1)  # (N, heads, h * w, T)
        weight: Tensor = layer.out_proj.weight
        outward = weight.view(len(weight), heads, -1)  # (C, heads, depth)
        value = layer.v_proj(values).view(count, -1, heads, outward.shape[2])  # (N, T, heads, depth)
        folded = torch.einsum("nthd,chd->nhtc", value, outward).flatten(1, 2)  # (N, heads * T, C)
        weights = scores.permute(0, 2, 1, 3).flatten(2)  # (N, h * w, heads * T)
        read: Tensor = torch.baddbmm(cells.expand(count, -1, -1), weights, folded) + layer.out_proj.bias
        return read

    def _upscale(self, cells: Tensor) -> Tensor:
        """Two transposed convolutions of stride 2 as matrix products: (N, h * w, C) -> (N, h * w * 16, C / 8)."""
        decoder = self.decoder
        norm = decoder.upscale_layer_norm
        wide = _transposed(decoder.upscale_conv1, cells).view(len(cells), -1, 4, decoder.upscale_conv1.out_channels)
        wide = F.gelu(F.layer_norm(wide, norm.normalized_shape, norm.weight, norm.bias, norm.eps))
        wide = F.gelu(_transposed(decoder.upscale_conv2, wide))
        return wide.reshape(len(cells), -1, decoder.upscale_conv2.out_channels)

    def _by_cell(self, values: Tensor) -> Tensor:
        """Reorder (1, C, 4 h, 4 w) as `_upscale` orders its pixels: (1, h * w * 16, C)."""
        height, width = self.grid
        split = values.reshape(len(values), -1, height, 2, 2, width, 2, 2)
        return split.permute(0, 2, 5, 3, 6, 4, 7, 1).reshape(len(values), height * width * 16, -1)

    def _to_map(self, values: Tensor) -> Tensor:
        """Reorder (N, h * w * 16, K) to maps (N, K, 4 h, 4 w)."""
        (height, width), count = self.grid, values.shape[2]
        split = values.view(-1, height, width, 2, 2, 2, 2, count)  # ..., y1, x1, y2, x2, K
        return split.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(-1, count, 4 * height, 4 * width)


def _heads(rows: Tensor, heads: int) -> Tensor:
    """(N, T, D) -> (N, heads, T, D / heads)."""
    return rows.view(*rows.shape[:2], heads, -1).transpose(1, 2)


def _attention(layer: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Multi-head attention among tokens (N, T, C)."""
    heads = layer.num_attention_heads
    rows = [_heads(project(given), heads) for project, given in (
        (layer.q_proj, query), (layer.k_proj, key), (layer.v_proj, value)
    )]  # fmt: skip
    mixed = F.scaled_dot_product_attention(rows[0], rows[1], rows[2])
    out: Tensor = layer.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _transposed(layer: Any, rows: Tensor) -> Tensor:
    """A transposed convolution with kernel and stride 2 on rows (..., C) -> (..., 4 * out): y, x, out."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(rows, weight, layer.bias.repeat(4))
