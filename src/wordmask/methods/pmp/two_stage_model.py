"""The networks of two-stage segmentation: a host that proposes masks, and a CLIP that scores them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.backbones.query_hosts.base import QueryOutputs
from wordmask.methods.pmp.scoring import HostPosterior, closed_posterior, open_posterior
from wordmask.ops.geometry import Placement
from wordmask.prompts import TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from wordmask.backbones.clip.pair import Clip
    from wordmask.methods.pmp.guided_host import GuidedHost
    from wordmask.methods.pmp.stage_two_settings import StageTwoSettings
    from wordmask.methods.pmp.vocabulary import Vocabulary
    from wordmask.ops.geometry import Size

__all__ = ["Pixels", "TwoStageModel"]


class Pixels(NamedTuple):
    """How a host's pixels are prepared.

    Attributes:
        mean, std: RGB statistics of pixels in [0, 1].
        short, long: The image is scaled so that its shorter side is `short`, and its longer one at most `long`.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    short: int
    long: int


class TwoStageModel:
    """A host and a CLIP as `methods.runner` needs them.

    Args:
        guided: The host; with `is_guided`, its decoder reads the prompts.
        clip: Scores masks and embeds phrases.
        settings: Of stage two.
        pixels: The host's preparation of images.
        name: In messages and results; it must differ between weights that cannot read each other's features.
        is_guided: Whether the text attention has been trained: a host as published is asked without prompts.
    """

    accepts = frozenset({TextPrompt, VisualPrompt})

    def __init__(
        self, guided: GuidedHost, clip: Clip, settings: StageTwoSettings, pixels: Pixels, *, name: str,
        is_guided: bool,
    ) -> None:  # fmt: skip
        self.guided, self.clip, self.settings, self.pixels = guided, clip, settings, pixels
        self.name, self.is_guided = name, is_guided
        self.mean, self.std = pixels.mean, pixels.std
        self.threshold, self.presence_threshold = settings.threshold, settings.presence

    @property
    def dtype(self) -> torch.dtype:
        """Precision of matrix products; the host's weights stay float32 under autocast."""
        return self.clip.vision.class_token.dtype

    def canvas(self, size: Size) -> Placement:
        """Return where an image of `size = (H, W)` lies on the host's input: at the top left, unscaled proportions."""
        host = self.guided.host
        if host.canvas is not None:
            scale = min(host.canvas[0] / size[0], host.canvas[1] / size[1])
        else:
            scale = min(self.pixels.short / min(size), self.pixels.long / max(size))
        height, width = (max(1, round(side * scale)) for side in size)
        if host.canvas is not None:
            height, width = min(height, host.canvas[0]), min(width, host.canvas[1])
        canvas = host.canvas or tuple(math.ceil(side / host.stride) * host.stride for side in (height, width))
        return Placement(size, (canvas[0], canvas[1]), (0, 0, height, width))

    def encode_pixels(self, pixels: Tensor) -> dict[str, Any]:
        """Return all that runs once per image: the host's features, and CLIP's dense features where they are used."""
        with self.autocast(pixels):
            host = self.guided.encode(pixels)
        features: dict[str, Any] = {"host": tuple(part.float() for part in host)}
        if self.settings.scorer in ("dense", "both"):
            features["dense"] = self.dense(pixels)
        return features

    def dense(self, pixels: Tensor) -> Tensor:
        """Return CLIP's dense features float `(B, D, h, w)` of the host's pixels, over the same canvas."""
        patch, longer = self.clip.vision.patch, max(pixels.shape[2:])
        sides = [max(1, round(side / longer * self.settings.dense_size / patch)) * patch for side in pixels.shape[2:]]
        mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        plain = F.interpolate(pixels * std + mean, size=sides, mode="bilinear", align_corners=False, antialias=True)
        return self.clip.vision.dense(self.clip.normalised(plain.clamp(0, 1))).float()

    def decode(self, features: tuple[Tensor, ...], prompts: Any = None) -> QueryOutputs:
        """Return the host's proposals; float32."""
        with self.autocast(features[0]):
            masks, states = self.guided.decode(features, prompts)
        return QueryOutputs((masks[-1].float(),), (states[-1].float(),))

    def host_posterior(self, states: Tensor, vocabulary: Vocabulary) -> HostPosterior:
        """Return what the host's own classifier says of queries `(Q, C)`: the open one where it has been trained."""
        names = (*vocabulary.names, *vocabulary.others)
        if self.guided.classifier is not None:
            return open_posterior(self.guided.classifier(states[None], vocabulary.classifier)[0])
        host = self.guided.host
        return closed_posterior(host.classify(states[None])[0], host.names, names)

    def autocast(self, like: Tensor) -> torch.autocast:
        """Return a context in which the host computes in the model's precision."""
        return torch.autocast(like.device.type, self.dtype, enabled=self.dtype != torch.float32)
