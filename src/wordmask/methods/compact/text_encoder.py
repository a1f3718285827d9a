"""Phrase -> unit vector: a small transformer trained towards CLIP's text space.

The vectors it is trained towards are CLIP ViT-B/32 text vectors of nouns with their common mean removed, so that a
synonym lands beside its noun whether or not any picture was ever labelled with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEXT_HEADS = 6
"""Attention heads, unless told otherwise."""


class TextEncoder(nn.Module):
    """Token ids -> one unit vector per phrase.

    Args:
        vocabulary: number of tokens the tokenizer knows.
        width: transformer width.
        depth: number of transformer blocks.
        heads: attention heads.
        length: longest phrase in tokens; longer ones are cut by the tokenizer.
        channels: size of the vector given out.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 192,
        depth: int = 3,
        heads: int = TEXT_HEADS,
        length: int = 24,
        channels: int = 512,
    ) -> None:
        super().__init__()
        self.length = length
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, channels)
        nn.init.normal_(self.token.weight, std=0.02)
        nn.init.normal_(self.position, std=0.01)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Encode phrases.

        Args:
            ids: int64 (P, L) token ids.
            padding: bool (P, L), True where a position is padding.

        Returns:
            float (P, channels), each row of unit length.
        """
        x = self.token(ids) + self.position[: ids.shape[1]]
        x = self.norm(self.blocks(x, src_key_padding_mask=padding))
        keep = (~padding).unsqueeze(-1).to(x.dtype)
        pooled = (x * keep).sum(1) / keep.sum(1).clamp(min=1)  # (P, width): mean over real tokens
        return F.normalize(self.project(pooled), dim=-1)
