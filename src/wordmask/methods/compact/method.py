"""The compact network as a `DenseModel`, which `methods/dense.py` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.backbones.compact.text import PhraseEncoder
from wordmask.components.affinity import affinity_matrix, refine
from wordmask.contracts import DenseOutput
from wordmask.errors import UnsupportedPromptError, quote, sentence
from wordmask.methods.compact.settings import STRIDE, CompactSettings
from wordmask.ops.geometry import Placement, Size, squash
from wordmask.ops.resize import place
from wordmask.prompts import MixedPrompt, Prompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from wordmask.contracts import ImageEncoder, TextEncoder
    from wordmask.methods.compact.mask_decoder import ImageFeatures, PreparedFeatures
    from wordmask.methods.compact.network import CompactNetwork

__all__ = ["CompactFeatures", "CompactModel", "KeptFeatures"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MODE: str = VisualPrompt.mode
"""The one mode of a visual prompt that is accepted, the default; it has no effect, see `CompactModel`."""


class CompactFeatures(NamedTuple):
    """Features of B images.

    Attributes:
        pyramid: Feature maps of the image encoder (B, C, H / stride, W / stride) at strides 4, 8, 16 and 32.
        maps: What the decoder needs.
        affinity: (B, N, M) affinities of cells in the precision of the maps; (B, 0, 0) without refinement.
    """

    pyramid: tuple[Tensor, ...]
    maps: ImageFeatures
    affinity: Tensor


class KeptFeatures(NamedTuple):
    """What answers read of `CompactFeatures`.

    Attributes:
        maps: What the decoder makes of its maps.
        affinity: As in `CompactFeatures`.
    """

    maps: PreparedFeatures
    affinity: Tensor


class CompactModel:
    """A compact network with its tokenizer and settings.

    An example image is embedded by pooling the network's own maps under its mask. It is not cropped, blurred or
    darkened, so only the default mode of a `VisualPrompt` is accepted, and it has no effect.

    Args:
        name: What messages and results call the model.
        network: The network, in evaluation mode.
        tokenizer: Of the text encoder.
        settings: Inference settings.
    """

    accepts: frozenset[type] = frozenset({TextPrompt, VisualPrompt, MixedPrompt})
    mean = IMAGENET_MEAN
    std = IMAGENET_STD
    chunk = 16
    exportable = True

    def __init__(
        self, name: str, network: CompactNetwork, tokenizer: Tokenizer, settings: CompactSettings | None = None
    ) -> None:
        self.name = name
        self.network = network
        self.tokenizer = tokenizer
        self.settings = settings or CompactSettings()
        self.threshold = self.settings.threshold
        self.presence_threshold = self.settings.presence_threshold
        self.weak_part_ratio = self.settings.weak_part_ratio
        self.label_threshold = self.settings.label_threshold

    @property
    def image_encoder(self) -> ImageEncoder:
        """The image encoder alone, for other methods on the same trunk."""
        return self.network.encoder

    @property
    def text_encoder(self) -> TextEncoder:
        """The text encoder alone, for other methods on the same trunk."""
        return PhraseEncoder(self.network.text, self.tokenizer)

    def canvas(self, size: Size) -> Placement:
        """Return the canvas nearest to the shape (H, W) of an image, its sides multiples of 32; filled, not padded."""
        scale = self.settings.long_side / max(size)
        height, width = (max(STRIDE, STRIDE * round(side * scale / STRIDE)) for side in size)
        return squash(size, (height, width))

    def encode_pixels(self, pixels: Tensor) -> CompactFeatures:
        """Return the features of normalised pixels, float32 (B, 3, H, W)."""
        return self.read_pyramid(self.pyramid(pixels))

    def pyramid(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the image encoder's feature maps of normalised pixels, float32 (B, 3, H, W)."""
        maps: tuple[Tensor, ...] = self.network.encoder(pixels.contiguous(memory_format=torch.channels_last))
        return maps

    def read_pyramid(self, pyramid: tuple[Tensor, ...]) -> CompactFeatures:
        """Return the features that follow from the image encoder's feature maps."""
        maps: ImageFeatures = self.network.neck(pyramid)
        return CompactFeatures(pyramid, maps, self._affinity(maps.pixel))

    @torch.inference_mode()
    def features_to_keep(self, features: CompactFeatures | KeptFeatures) -> CompactFeatures | KeptFeatures:
        """Return what `decode` reads."""
        prepared = self.network.decoder.prepare(features.maps)
        return KeptFeatures(prepared._replace(pixel=prepared.pixel.contiguous()), features.affinity)

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Return the unit vector (C,) of a phrase, of an example, or of a weighted mean of the two.

        Raises:
            UnsupportedPromptError: An example asks for another mode than the default.
        """
        if isinstance(prompt, TextPrompt):
            return self.embed_texts([prompt.text])[0]
        if isinstance(prompt, VisualPrompt):
            return self._embed_example(prompt)
        mixed = prompt.weight * self.embed_prompt(prompt.phrase)
        return F.normalize(mixed + (1 - prompt.weight) * self._embed_example(prompt.visual), dim=0)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (P, C) of phrases; tokens beyond the encoder's length are ignored."""
        return self.text_encoder.embed_texts(texts)

    def decode(self, features: CompactFeatures | KeptFeatures, conditions: Tensor) -> DenseOutput:
        """Return calibrated mask logits (P, h, w) at stride 4 and presence logits (P,) of one image.

        Args:
            features: Of one image.
            conditions: (P, C).
        """
        logits, presence = self.answer(features, conditions.unsqueeze(0))
        return DenseOutput(self.calibrate_masks(logits[0]), presence[0])

    def answer(self, features: CompactFeatures | KeptFeatures, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's logits after refinement by affinity and before calibration.

        Args:
            features: Of B images.
            conditions: (B, K, C), K for each image.

        Returns:
            Mask logits (B, K, h, w) at stride 4 and presence logits (B, K).
        """
        logits, presence = self.network.decoder(features.maps, conditions)
        if self.settings.affinity_sharpness is None:
            return logits, presence
        # features of a model without refinement have no affinity
        affinity = features.affinity if features.affinity.numel() else self._affinity(features.maps.pixel)
        return refine(logits, affinity), presence

    def calibrate_masks(self, logits: Tensor) -> Tensor:
        """Return float32 mask logits, calibrated by the scale and shift fitted on validation images."""
        return self.settings.mask_scale * logits.float() + self.settings.mask_shift

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Return presence probabilities, calibrated by the scale and shift fitted on validation images."""
        return (self.settings.presence_scale * logits + self.settings.presence_shift).sigmoid()

    def _affinity(self, pixel: Tensor) -> Tensor:
        """`CompactFeatures.affinity` of pixel embeddings (B, D, h, w)."""
        sharpness = self.settings.affinity_sharpness
        if sharpness is None:
            return pixel.new_empty((len(pixel), 0, 0))
        return affinity_matrix(pixel, sharpness).to(pixel.dtype)

    def check_mode(self, prompt: VisualPrompt) -> None:
        """Check that an example asks for the default mode.

        Raises:
            UnsupportedPromptError: If it does not.
        """
        if prompt.mode != MODE:
            got = f"the visual prompt mode {quote(prompt.mode)} for {self.name}"
            remedy = "leave mode out (examples are pooled under their mask, unchanged), or load a CLIPSeg checkpoint"
            raise UnsupportedPromptError(sentence(got, repr(MODE), remedy))

    def _embed_example(self, prompt: VisualPrompt) -> Tensor:
        self.check_mode(prompt)
        image = prompt.example
        placement = self.canvas(image.size)
        weight = self.network.text.position
        pixels = torch.from_numpy(place(image.pixels, placement).astype(np.float32) / 255).permute(2, 0, 1)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        features = self.network.encode(((pixels - mean) / std)[None].to(weight.device))
        mask = torch.from_numpy(prompt.region.astype(np.float32))[None, None].to(weight.device)
        cells = F.interpolate(mask, size=features.fine.shape[-2:], mode="area")[0].to(weight.dtype)  # (1, h, w)
        return self.network.read_example(features, cells)[0]
