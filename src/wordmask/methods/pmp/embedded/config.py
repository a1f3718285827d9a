"""Sizes of the query decoder on the compact trunk, kept in `config.json` beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wordmask.settings import Choices, Ranges, Settings

__all__ = ["DecoderConfig"]


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(Settings):
    """Sizes of a `ProposalNetwork`.

    Attributes:
        queries: Learned queries Q: proposals for each prompt, beside that of the prompt's own query.
        channels: Width C of the queries.
        layers: Decoder layers.
        heads: Attention heads.
        feedforward: Hidden channels of the feed-forward networks.
        embedding: Channels D of mask embeddings.
        mixed: Channels of the trained feature map at stride 8.
        text: Channels of the embedding of a phrase.
        fine: Channels of the trunk's map at stride 4.
        coarse: Channels of the trunk's map at stride 8.
        deep: Channels of the trunk's map at stride 16.
        deepest: Channels of the trunk's map at stride 32.
        guided: Whether the queries attend to the prompt's tokens.
        prompt_query: Whether one further query is made from the prompt; it proposes the whole mask of the phrase.
        dense: Whether masks start from the trunk's dense mask of the prompt.
        centres: Channels of the maps that divide a mask into instances; 0: there are none.
        names: Whether proposals that no prompt guided have an embedding that is compared with names.
    """

    queries: int = 16
    channels: int = 128
    layers: int = 3
    heads: int = 4
    feedforward: int = 512
    embedding: int = 64
    mixed: int = 96
    text: int = 512
    fine: int = 32
    coarse: int = 96
    deep: int = 192
    deepest: int = 288
    guided: bool = True
    prompt_query: bool = True
    dense: bool = True
    centres: int = 0
    names: bool = False

    ranges: ClassVar[Ranges] = {
        "queries": (1, 1000),
        "layers": (1, 64),
        "centres": (0, 65536),
        **dict.fromkeys(
            ("channels", "heads", "feedforward", "embedding", "mixed", "text", "fine", "coarse", "deep", "deepest"),
            (1, 65536),
        ),
    }
    choices: ClassVar[Choices] = {}
