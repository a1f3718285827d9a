"""Small transformer that encodes phrases as unit vectors, trained to predict CLIP's text embeddings.

Its targets are text embeddings of nouns by CLIP ViT-B/32 with their common mean removed, so that a synonym lies near
its noun whether or not it occurs in the labels of any image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.errors import CheckpointError, sentence
from wordmask.prompts.phrases import warn_of_truncation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

__all__ = ["TEXT_HEADS", "CompactTextEncoder", "PhraseEncoder"]

TEXT_HEADS = 6
"""Default number of attention heads."""


class CompactTextEncoder(nn.Module):
    """Encode token ids as one unit vector per phrase.

    Args:
        vocabulary: Number of tokens of the tokenizer.
        width: Channels of the transformer.
        depth: Transformer blocks.
        heads: Attention heads.
        length: Tokens of the longest phrase; longer ones are truncated by `PhraseEncoder`.
        channels: Channels of the embedding.
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
        self.channels = channels
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
        x = self.token(ids) + self.position[: ids.shape[1]]  # (P, L, width)
        x = self.norm(self.blocks(x, src_key_padding_mask=padding))
        keep = (~padding).unsqueeze(-1).to(x.dtype)
        pooled = (x * keep).sum(1) / keep.sum(1).clamp(min=1)  # (P, width): mean over real tokens
        return F.normalize(self.project(pooled), dim=-1)


class PhraseEncoder:
    """A text encoder with its tokenizer; fulfils `contracts.TextEncoder`.

    Args:
        network: Encodes token ids.
        tokenizer: The tokenizer it was trained with.
    """

    def __init__(self, network: CompactTextEncoder, tokenizer: Tokenizer) -> None:
        self.network = network
        self.tokenizer = tokenizer

    @property
    def channels(self) -> int:
        """Width of an embedding."""
        return self.network.channels

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, channels) of P phrases; tokens beyond the network's length are ignored.

        A `WordmaskWarning` names a phrase that is longer.

        Raises:
            CheckpointError: If the tokenizer fails or has more tokens than the network.
        """
        rows = [self._row(text, ids) for text, ids in zip(texts, self._tokenize(texts), strict=True)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # (P, L)
        padding = torch.tensor([[i >= len(row) for i in range(longest)] for row in rows])
        device = self.network.position.device
        vectors: Tensor = self.network(ids.to(device), padding.to(device))
        return vectors

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        try:
            return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        except Exception as error:  # tokenizers raises bare Exception
            got = f"a tokenizer that cannot read a phrase ({' '.join(str(error).split())})"
            raise CheckpointError(sentence(got, "the one saved with the weights", "fetch the model again")) from error

    def _row(self, text: str, ids: list[int]) -> list[int]:
        """The tokens of a phrase that the network reads."""
        length = self.network.length
        if len(ids) > length:
            warn_of_truncation(text, tokens=len(ids), limit=length)
        return ids[:length] or [0]
