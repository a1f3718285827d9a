"""The query decoder on the compact trunk: proposals for a prompt, or without one.

Masked attention, self-attention and feed-forward networks as in Mask2Former (Cheng et al., arXiv 2112.01527), with
text-query cross-attention after the self-attention of every layer (Li et al., arXiv 2412.10292).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.pmp.embedded.centres import CentreHead
from wordmask.methods.pmp.embedded.features import MaskFeatures, MemoryBuilder, ProposalFeatures, TrunkMaps
from wordmask.methods.pmp.text_query_attention import Memories, PromptGuidance, PromptTokens

if TYPE_CHECKING:
    from wordmask.methods.pmp.embedded.config import DecoderConfig

__all__ = ["MaskHeads", "ProposalNetwork", "QueryState"]

STRIDES = (32, 16, 8)
LIMIT = 8.0
"""Dense logits are kept in -LIMIT to LIMIT."""
SHARPNESS = 12.0
"""Factor of the cosine of a proposal and a name."""


class MaskHeads(NamedTuple):
    """What is read from the queries of B images with K prompts after a layer.

    Attributes:
        embeddings: float `(B, K, N, D)`, mask embeddings.
        gains: float `(B, K, N, 1)`, factor of the dense logits in the mask; 0 without them.
        biases: float `(B, K, N, 1)`.
        quality: float `(B, K, N)`, logits of the expected IoU.
        dense_quality: float `(B, K)`, logits of the expected IoU of the dense mask.
    """

    embeddings: Tensor
    gains: Tensor
    biases: Tensor
    quality: Tensor
    dense_quality: Tensor

    def logits(self, features: Tensor, dense: Tensor | None) -> Tensor:
        """Return mask logits float `(B, K, N, P)`.

        Args:
            features: Mask features `(B, D, P)`.
            dense: Dense logits `(B, K, P)`; None: there are none.
        """
        scale = self.embeddings.shape[-1] ** -0.5
        logits: Tensor = scale * (self.embeddings.flatten(1, 2) @ features).view(*self.quality.shape, -1) + self.biases
        if dense is None:
            return logits
        return torch.addcmul(logits, self.gains, dense.to(logits.dtype).clamp(-LIMIT, LIMIT).unsqueeze(2))


class QueryState(NamedTuple):
    """Queries after the last layer, float `(B, K, N, C)`, and the heads before the first layer and after every one."""

    queries: Tensor
    heads: list[MaskHeads]


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention and a feed-forward network, each with a norm after it."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        c = config.channels
        self.heads = config.heads
        self.query, self.key, self.value, self.out = (nn.Linear(c, c) for _ in range(4))
        self.own, self.own_value, self.own_out = nn.Linear(c, 2 * c), nn.Linear(c, c), nn.Linear(c, c)
        self.mlp = nn.Sequential(
            nn.Linear(c, config.feedforward), nn.ReLU(inplace=True), nn.Linear(config.feedforward, c)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(c) for _ in range(3))

    def attend(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys `(B, heads, c, N)` and values `(B, heads, N, c)` of a memory `(B, N, C)`, whatever the prompts."""
        key, value = self._split(self.key(memory)), self._split(self.value(memory))
        return key.transpose(-2, -1).contiguous(), value.contiguous()

    def look(self, x: Tensor, positions: Tensor, attended: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        """Masked attention of `(B, M, C)` to the keys and values of N cells; `hidden` is bool `(B, M, N)`."""
        read = _attention(self._split(self.query(x + positions)), *attended, hidden.unsqueeze(1))
        result: Tensor = self.norms[0](x + self.out(read.transpose(1, 2).flatten(2)))
        return result

    def mix(self, x: Tensor, positions: Tensor) -> Tensor:
        """Self-attention among the queries `(R, N, C)` of each prompt."""
        query, key = self.own(x + positions).chunk(2, -1)
        key = self._split(key).transpose(-2, -1)
        read = _attention(self._split(query), key, self._split(self.own_value(x)))
        result: Tensor = self.norms[1](x + self.own_out(read.transpose(1, 2).flatten(2)))
        return result

    def feed(self, x: Tensor) -> Tensor:
        """Feed-forward network of `(R, N, C)`."""
        result: Tensor = self.norms[2](x + self.mlp(x))
        return result

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ProposalNetwork(nn.Module):
    """Proposals on features of the trunk.

    Args:
        config: Sizes, and which kinds of guidance there are.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        c, d = config.channels, config.embedding
        self.memory = MemoryBuilder(config)
        self.mask_features = MaskFeatures(config)
        self.content = nn.Parameter(0.02 * torch.randn(config.queries, c))
        self.positions = nn.Parameter(torch.randn(config.queries + 1, c))  # the last: of the prompt's query
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.guidance: PromptGuidance | None = None
        if config.guided:
            self.guidance = PromptGuidance(
                text_channels=config.text, channels=c, layers=config.layers, heads=config.heads, gate=1.0
            )
        self.prompt: nn.Module | None = None
        if config.prompt_query:
            self.prompt = nn.Sequential(
                nn.LayerNorm(config.text), nn.Linear(config.text, c), nn.GELU(), nn.Linear(c, c)
            )
        self.norm = nn.LayerNorm(c)
        self.embed = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, d + 2))
        self.quality = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 2))
        self.names = nn.Linear(c, config.text) if config.names else None
        self.centres = CentreHead(config) if config.centres else None

    def encode(self, maps: TrunkMaps) -> ProposalFeatures:
        """Return features of B images, whatever the prompts."""
        features: ProposalFeatures = self.memory(maps)
        if self.centres is None:
            return features
        return features._replace(centres=(self.centres.encode(maps, features.mixed),))

    def attended(self, features: ProposalFeatures) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return keys and values of the memory of every layer."""
        pairs = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            pairs.append(layer.attend(features.memories[i % len(STRIDES)]))
        return tuple(pairs)

    def forward(self, features: ProposalFeatures, phrases: Tensor | None, dense: Tensor | None = None) -> QueryState:
        """Decode K prompts for each of B images, or propose without a prompt.

        Args:
            features: Of B images.
            phrases: Unit vectors `(B, K, text)`; None: no prompt, K = 1.
            dense: Dense logits `(B, K, H / 4, W / 4)` of the phrases; None: there are none.
        """
        b = len(features.fine)
        x, positions = self._initial(phrases, b)
        k, n, c = x.shape[1:]
        memories = self._text(phrases)
        attended = features.attended or self.attended(features)
        maps = [self.mask_features.grid(features, stride).flatten(2) for stride in STRIDES]
        starts = [None if dense is None else F.avg_pool2d(dense, stride // 4).flatten(2) for stride in STRIDES]
        heads = [self.read(x, dense is not None)]
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            level = i % len(STRIDES)
            hidden = _hidden(heads[-1].logits(maps[level], starts[level])).flatten(1, 2)  # (B, K * N, cells)
            where = positions.repeat(k, 1)
            y = layer.look(x.flatten(1, 2), where, attended[i], hidden).view(b * k, n, c)
            y = layer.mix(y, positions)
            if self.guidance is not None:
                y = self.guidance.guide(i, y, memories, positions)
            x = layer.feed(y).view(b, k, n, c)
            heads.append(self.read(x, dense is not None))
        return QueryState(x, heads)

    def read(self, x: Tensor, dense: bool) -> MaskHeads:
        """Read mask embeddings and qualities from queries `(B, K, N, C)`."""
        x = self.norm(x)
        embedding, gain, bias = self.embed(x).split([self.config.embedding, 1, 1], -1)
        quality = self.quality(x)  # (B, K, N, 2)
        return MaskHeads(embedding, 1 + gain if dense else 0 * gain, bias, quality[..., 0], quality[:, :, -1, 1])

    def name_logits(self, x: Tensor, phrases: Tensor) -> Tensor:
        """Return logits `(B, N, K)` that an unprompted proposal `(B, N, C)` is what a phrase `(B, K, text)` names."""
        assert self.names is not None
        vectors = F.normalize(self.names(self.norm(x)), dim=-1)
        return SHARPNESS * vectors @ phrases.transpose(1, 2) - SHARPNESS / 2

    def _initial(self, phrases: Tensor | None, images: int) -> tuple[Tensor, Tensor]:
        """Initial queries `(B, K, N, C)` and their positions `(N, C)`; the prompt's own query comes last."""
        k = 1 if phrases is None else phrases.shape[1]
        x = self.content.expand(images, k, -1, -1)
        if phrases is None or self.prompt is None:
            return x, self.positions[:-1]
        own = self.prompt(phrases * phrases.shape[-1] ** 0.5).unsqueeze(2)
        return torch.cat([x, own.expand(images, -1, -1, -1)], 2), self.positions

    def _text(self, phrases: Tensor | None) -> Memories | None:
        if phrases is None or self.guidance is None:
            return None
        memories: Memories | None = self.guidance(PromptTokens(phrases.flatten(0, 1).unsqueeze(1)))
        return memories


def _attention(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Attention of `(B, heads, M, c)` to keys `(B, heads, c, N)` and values `(B, heads, N, c)`.

    Written out: the fused kernel learns slowly on a CPU.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key
    if hidden is not None:
        scores = scores.masked_fill(hidden, -1e4)
    result: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return result


def _hidden(logits: Tensor) -> Tensor:
    """Where a query must not look: bool `(B, K, N, cells)`; a query whose mask is empty looks everywhere."""
    hidden = logits.detach() < 0
    return hidden & ~hidden.all(-1, keepdim=True)
