"""A published query-based model whose decoder reads the prompts: PMP around Mask2Former, MaskFormer or EoMT.

The weights of the attention are registered inside the host's model under `pmp.`; all others keep transformers' names,
so a published folder loads unchanged and lacks exactly these. With closed gates, and without a prompt, the model gives
the host's outputs bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from wordmask.backbones.query_hosts.base import POSITIONS
from wordmask.methods.pmp.text_classifier import TextClassifier
from wordmask.methods.pmp.text_query_attention import VARIANTS, PromptGuidance, PromptTokens
from wordmask.settings import Choices, Ranges, Settings

if TYPE_CHECKING:
    from wordmask.backbones.query_hosts.base import QueryHost, QueryOutputs
    from wordmask.methods.pmp.text_query_attention import Memories

__all__ = ["GuidanceSettings", "GuidedHost"]


@dataclass(frozen=True, kw_only=True)
class GuidanceSettings(Settings):
    """Settings of the text attention of a host.

    Attributes:
        text_channels: Width of the prompt tokens.
        position: Where a layer is guided, one of `POSITIONS`; "host" = where the host's adapter says, in front of the
            feed-forward.
        variant: "gated" or "postnorm".
        gate: Initial value of the gates: 0 leaves a trained host as it is, 1 is for training from nothing.
        null: Whether there is a null token, by which a query can decline.
        token_kinds: Whether kinds of tokens are told apart (sentences, words, images).
        initial: Whether the initial queries are guided, too, and with them the first attention masks.
        classifier: Whether queries are classified by text, in place of the host's fixed classes.
        prompt_query: Whether a query made from the mean prompt token is added to the host's.
    """

    text_channels: int = 512
    position: str = "host"
    variant: str = "gated"
    gate: float = 0.0
    null: bool = True
    token_kinds: bool = False
    initial: bool = False
    classifier: bool = False
    prompt_query: bool = False

    ranges: ClassVar[Ranges] = {"text_channels": (1, 65536), "gate": (-10, 10)}
    choices: ClassVar[Choices] = {"position": ("host", *POSITIONS), "variant": VARIANTS}


class GuidedHost(nn.Module):
    """A host with text attention in its decoder.

    Args:
        host: The adapter of a published model, made with `position`.
        settings: Of the attention.
    """

    def __init__(self, host: QueryHost, settings: GuidanceSettings) -> None:
        super().__init__()
        self.host, self.settings = host, settings
        self.guidance = PromptGuidance(
            text_channels=settings.text_channels,
            channels=host.channels,
            layers=host.guided + settings.initial,
            variant=settings.variant,
            gate=settings.gate,
            null=settings.null,
            kinds=settings.token_kinds,
        )
        host.model.add_module("pmp", self.guidance)
        if settings.classifier:
            self.guidance.add_module("classifier", TextClassifier(host.channels, settings.text_channels))
        if settings.prompt_query:
            self.guidance.add_module("prompt_query", nn.Linear(settings.text_channels, host.channels))

    @property
    def classifier(self) -> TextClassifier | None:
        """The classifier by text; None where the host's own is used."""
        found: TextClassifier | None = getattr(self.guidance, "classifier", None)
        return found

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the host's features of normalised pixels `(B, 3, H, W)`; prompts do not enter."""
        return self.host.encode(pixels)

    def memories(self, prompts: PromptTokens | None) -> Memories | None:
        """Return what the decoder layers read of the prompts: once per vocabulary."""
        memories: Memories | None = self.guidance(prompts)
        return memories

    def decode(
        self, features: tuple[Tensor, ...], prompts: PromptTokens | None = None, *, memories: Memories | None = None
    ) -> QueryOutputs:
        """Return the proposals of encoded images.

        Args:
            features: Of B images.
            prompts: Of B images, or one vocabulary for all; None leaves the host unguided.
            memories: What `memories` made of them, where that is known already.
        """
        memories = self.memories(prompts) if memories is None else memories
        if memories is None:
            return self.host.decode(features)
        query = self._prompt_query(prompts) if prompts is not None else None
        return self.host.decode(features, _Guide(self.guidance, memories, self.settings.initial, query))

    def _prompt_query(self, prompts: PromptTokens) -> Tensor | None:
        """A query `(B, 1, C)` made from the mean of the prompt tokens."""
        layer: Any = getattr(self.guidance, "prompt_query", None)
        if layer is None:
            return None
        tokens = prompts.tokens
        shown = (
            torch.ones_like(tokens[..., :1]) if prompts.padding is None else (~prompts.padding[..., None]).to(tokens)
        )
        mean = (tokens.nan_to_num() * shown).sum(1, keepdim=True) / shown.sum(1, keepdim=True).clamp(min=1)
        query: Tensor = layer(mean)
        return query


class _Guide:
    """The guide of one call (`backbones.query_hosts.base.Guide`)."""

    def __init__(self, guidance: PromptGuidance, memories: Memories, initial: bool, query: Tensor | None) -> None:
        self.guidance, self.memories, self.initial, self.query = guidance, memories, initial, query
        self.positions: Tensor | None = None
        self.residual: Tensor | None = None

    def start(self, queries: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Keep the positions, add the prompt's query, and guide the initial queries where that is asked for."""
        if self.query is not None:
            queries = torch.cat([queries, self.query.expand(len(queries), -1, -1)], dim=1)
            if positions is not None:
                positions = torch.cat([positions, torch.zeros_like(positions[:, :1])], dim=1)
        self.positions = positions
        if self.initial:
            queries = self.guidance.guide(len(self.memories) - 1, queries, self.memories, positions)
        return queries, positions

    def layer(self, index: int, queries: Tensor) -> Tensor:
        """Guide the queries of a layer."""
        return self.guidance.guide(index, queries, self.memories, self.positions)
