"""The compact network as a `DenseModel`: what `methods/dense.py` runs with the embedded weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.contracts import DenseOutput
from wordmask.errors import UnsupportedPromptError, quote, sentence
from wordmask.methods.compact.agreement import agree, likeness
from wordmask.ops.geometry import Placement, Size, squash
from wordmask.ops.resize import place
from wordmask.prompts import MixedPrompt, Prompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from wordmask.methods.compact.mask_decoder import ImageFeatures
    from wordmask.methods.compact.network import CompactNetwork

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CELL = 32  # canvases are multiples of the coarsest stride
LONGEST_SIDE = 8192
SHARPEST = 1000
"""At this sharpness a cell listens to the one that is most like it, and nearly to that alone."""
MODE: str = VisualPrompt.mode
"""The one name of a mode that is taken, the default; it changes nothing, see `CompactModel`."""


@dataclass(frozen=True)
class CompactSettings:
    """How a trained compact network is run; `config.json` beside the weights holds it.

    Attributes:
        long_side: longer side of the canvas, in pixels.
        agreement_sharpness: how sharply cells that look alike are told from others when they agree on an answer
            (`agreement.py`); None: each cell answers alone.
        threshold: probability from which a pixel belongs to the mask; None: for each mask, the one that promises the
            highest IoU.
        mask_scale: factor on mask logits, fitted on validation pictures (Platt scaling).
        mask_shift: added after the factor.
        presence_scale: factor on presence logits, fitted on validation pictures (Platt scaling).
        presence_shift: added after the factor.
        presence_threshold: calibrated probability below which the mask is empty.

    Raises:
        TypeError: a value is not a number.
        ValueError: a value is out of its range.
    """

    long_side: int = 352
    agreement_sharpness: float | None = None
    threshold: float | None = 0.5
    mask_scale: float = 1.0
    mask_shift: float = 0.0
    presence_scale: float = 1.0
    presence_shift: float = 0.0
    presence_threshold: float = 0.3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is None and name in ("threshold", "agreement_sharpness"):
                continue
            whole = name == "long_side"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise TypeError(f"{name} is {quote(value)}, not a{' whole' if whole else ''} number")
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, not a finite number")
            if name.endswith("threshold") and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, not in [0, 1]")
            if name.endswith("scale") and value <= 0:
                raise ValueError(f"{name} is {value}, not above 0")
            if name == "agreement_sharpness" and not 0 <= value <= SHARPEST:
                raise ValueError(f"{name} is {value}, not in 0 to {SHARPEST}")
        if not CELL <= self.long_side <= LONGEST_SIDE:
            raise ValueError(f"long_side is {self.long_side}, not {CELL} to {LONGEST_SIDE} px")

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return asdict(self)


class Seen(NamedTuple):
    """What is kept of B pictures.

    Attributes:
        maps: feature maps, everything a prompt needs.
        alike: (B, N, M), which cells listen to which, in the precision of the maps; (B, 0, 0) where none does.
    """

    maps: ImageFeatures
    alike: Tensor


class CompactModel:
    """A compact network, its tokenizer and its settings, as methods/dense.py wants them.

    An example is read through its mask in the network's own maps. Nothing is cropped, blurred or darkened before, so
    of the modes of a `VisualPrompt` only the default is taken, and it has no effect here.
    """

    accepts: frozenset[type] = frozenset({TextPrompt, VisualPrompt, MixedPrompt})
    mean = IMAGENET_MEAN
    std = IMAGENET_STD
    chunk = 16

    def __init__(
        self, name: str, network: CompactNetwork, tokenizer: Tokenizer, settings: CompactSettings | None = None
    ) -> None:
        self.name = name
        self.network = network
        self.tokenizer = tokenizer
        self.settings = settings or CompactSettings()
        self.threshold = self.settings.threshold
        self.presence_threshold = self.settings.presence_threshold

    def canvas(self, size: Size) -> Placement:
        """The canvas nearest to the picture's own shape whose sides are multiples of 32; filled without padding."""
        scale = self.settings.long_side / max(size)
        height, width = (max(CELL, CELL * round(side * scale / CELL)) for side in size)
        return squash(size, (height, width))

    def encode_pixels(self, pixels: Tensor) -> Seen:
        """Normalised float32 (B, 3, H, W) pixels -> what is kept of B pictures."""
        maps = self.network.encode(pixels.contiguous(memory_format=torch.channels_last))
        return Seen(maps, self._alike(maps.pixel))

    def embed_prompt(self, prompt: Prompt) -> Tensor:
        """Unit vector (C,) of a phrase, of an example, or of a mix of the two (`weight` is the text's share).

        Raises:
            UnsupportedPromptError: an example asks for another mode than the default.
        """
        if isinstance(prompt, TextPrompt):
            return self.embed_texts([prompt.text])[0]
        if isinstance(prompt, VisualPrompt):
            return self._embed_example(prompt)
        mixed = prompt.weight * self.embed_prompt(prompt.phrase)
        return F.normalize(mixed + (1 - prompt.weight) * self._embed_example(prompt.visual), dim=0)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (P, C); words beyond the encoder's length are not read."""
        length = self.network.text.length
        rows = [encoding.ids[:length] or [0] for encoding in self.tokenizer.encode_batch(list(texts))]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        padding = torch.tensor([[i >= len(row) for i in range(longest)] for row in rows])
        device = self.network.text.position.device
        vectors: Tensor = self.network.text(ids.to(device), padding.to(device))
        return vectors

    def decode(self, features: Seen, conditions: Tensor) -> DenseOutput:
        """One picture (B = 1) and conditions (P, C) -> logits (P, h, w) at stride 4, presence (P,)."""
        logits, presence = self.answer(features, conditions.unsqueeze(0))
        return DenseOutput(self.calibrate_masks(logits[0]), presence[0])

    def answer(self, features: Seen, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """What is calibrated: the network's answers, after cells that look alike have agreed on them.

        Args:
            features: of B pictures.
            conditions: (B, K, C), K for each.

        Returns:
            Mask logits (B, K, h, w) at stride 4 and presence logits (B, K).
        """
        logits, presence = self.network.decoder(features.maps, conditions)
        if self.settings.agreement_sharpness is None:
            return logits, presence
        # what was encoded where cells answer alone has yet to be compared
        alike = features.alike if features.alike.numel() else self._alike(features.maps.pixel)
        return agree(logits, alike), presence

    def _alike(self, pixel: Tensor) -> Tensor:
        """Pixel vectors (B, D, h, w) -> `Seen.alike`."""
        sharpness = self.settings.agreement_sharpness
        return pixel.new_empty((len(pixel), 0, 0)) if sharpness is None else likeness(pixel, sharpness).to(pixel.dtype)

    def calibrate_masks(self, logits: Tensor) -> Tensor:
        """The network's mask logits -> float32 logits whose probabilities were fitted on validation pictures."""
        return self.settings.mask_scale * logits.float() + self.settings.mask_shift

    def calibrate_presence(self, logits: Tensor) -> Tensor:
        """Presence logits -> probabilities, by the scale and shift fitted on validation pictures."""
        return (self.settings.presence_scale * logits + self.settings.presence_shift).sigmoid()

    def _embed_example(self, prompt: VisualPrompt) -> Tensor:
        if prompt.mode != MODE:
            got = f"the visual prompt mode {quote(prompt.mode)} for {self.name}"
            remedy = "leave mode out (examples are read through their mask, unchanged), or load a CLIPSeg checkpoint"
            raise UnsupportedPromptError(sentence(got, repr(MODE), remedy))
        picture = prompt.example
        placement = self.canvas(picture.size)
        weight = self.network.text.position
        pixels = torch.from_numpy(place(picture.pixels, placement).astype(np.float32) / 255).permute(2, 0, 1)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        features = self.network.encode(((pixels - mean) / std)[None].to(weight.device))
        mask = torch.from_numpy(prompt.region.astype(np.float32))[None, None].to(weight.device)
        cells = F.interpolate(mask, size=features.fine.shape[-2:], mode="area")[0].to(weight.dtype)
        return self.network.read_example(features, cells)[0]
