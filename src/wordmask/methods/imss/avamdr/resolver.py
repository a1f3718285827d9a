"""The resolver as a whole: what it adds between SAM's vision encoder and mask decoder.

Branch A corrects the embedding that the frozen two-way transformer reads: EVIT over three intermediate embeddings,
fused with the final one. Branch B adds features at a quarter of the canvas: CRAM over the image and four intermediate
embeddings, then SAFU. Both end in zeros, so that the untrained whole is SAM bit for bit. The features are added before
the mask token is applied: the prompt decides which of them count. Neither branch sees the prompt, so both run once for
an image.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.methods.imss.avamdr.cram import LEVELS, Cram
from wordmask.methods.imss.avamdr.evit import DEPTHS, Evit
from wordmask.methods.imss.avamdr.fusion import IterativeFusion
from wordmask.methods.imss.avamdr.safu import Safu
from wordmask.settings import Ranges, Settings

if TYPE_CHECKING:
    from wordmask.backbones.sam.vision import SamFeatures

__all__ = ["Resolved", "Resolver", "ResolverSettings"]


@dataclass(frozen=True, kw_only=True)
class ResolverSettings(Settings):
    """Shape of a resolver.

    Attributes:
        channels: Width of the vision encoder: 768, 1024 or 1280 for SAM ViT-B, L and H.
        width: Channels of the mask decoder.
        side: Cells along each side of the maps that CRAM's attention sees.
        evit: Whether there is branch A.
        cram: Whether there is branch B.
        token: Whether a copy of the mask token and its network is trained too.
        zoom: Whether it was trained with windows round small boxes, and may use them.
    """

    channels: int = 768
    width: int = 256
    side: int = 16
    evit: bool = True
    cram: bool = True
    token: bool = False
    zoom: bool = False

    ranges: ClassVar[Ranges] = {"channels": (8, 8192), "width": (8, 4096), "side": (1, 256)}


class Resolved(NamedTuple):
    """Features of B images for the mask decoder.

    Attributes:
        embedding: float `(B, C, h, w)`, in the place of the vision encoder's.
        extra: float `(B, C / 8, 4 h, 4 w)`, added to the upscaled embedding; zeros without branch B.
    """

    embedding: Tensor
    extra: Tensor


class Resolver(nn.Module):
    """AVAMDR without the frozen parts around it.

    Args:
        settings: Its shape.
        decoder: SAM's mask decoder, whose first mask token and network are copied where the settings say `token`.
    """

    def __init__(self, settings: ResolverSettings, *, decoder: Any = None) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        widths = (width // 8, width // 4, width // 2, width)
        if settings.evit:
            self.evit, self.fusion = Evit(settings.channels, width), IterativeFusion(width)
            self.gate = nn.Parameter(torch.zeros(width))
        if settings.cram:
            self.cram = Cram(settings.channels, widths, memory=width // 8, side=settings.side)
            self.safu = Safu(widths, width // 8)
        if settings.token:
            assert decoder is not None
            self.token = nn.Parameter(decoder.mask_tokens.weight[:1].detach().clone())
            self.network = copy.deepcopy(decoder.output_hypernetworks_mlps[0]).requires_grad_(True)

    @property
    def head(self) -> tuple[Tensor, nn.Module] | None:
        """The trained mask token `(1, C)` and its network; None where SAM's own are used."""
        return (self.token, self.network) if self.settings.token else None

    def forward(self, pixels: Tensor, features: SamFeatures) -> Resolved:
        """Resolve images.

        Args:
            pixels: float `(B, 3, S, S)`, normalised.
            features: The vision encoder's, with four levels.
        """
        embedding, levels = features.embedding, features.levels
        assert len(levels) == LEVELS
        if self.settings.evit:
            fused = self.fusion(embedding, self.evit(levels[:DEPTHS]))
            embedding = embedding + self.gate.view(1, -1, 1, 1) * (fused - embedding)
        if self.settings.cram:
            extra = self.safu(self.cram(pixels, levels))
        else:
            batch, channels, height, width = embedding.shape
            extra = embedding.new_zeros(batch, channels // 8, 4 * height, 4 * width)
        return Resolved(embedding, extra)
