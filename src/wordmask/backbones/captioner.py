"""Captions of images by BLIP, BLIP-2 or Florence-2, through transformers.

Pixels are prepared here (squashed to the model's size, bicubic), since transformers' own processors prefer torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from wordmask.backbones.pretrained import read_pretrained, read_processor_values, read_tokenizer
from wordmask.checkpoints import read_json
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from wordmask.images import RgbImage

__all__ = ["TransformersCaptioner", "load_captioner"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
BEAMS = 5
LONGEST = 30
"""Tokens of a caption, as in TAS."""
FLORENCE_TASK = "What does the image describe?"
"""What Florence-2 was trained to answer by a caption."""


class Kind(NamedTuple):
    """A family of captioners.

    Attributes:
        model: transformers' class.
        side: Of the images where the checkpoint does not say.
    """

    model: str
    side: int


KINDS: Mapping[str, Kind] = {
    "blip": Kind("BlipForConditionalGeneration", 384),
    "blip-2": Kind("Blip2ForConditionalGeneration", 224),
    "florence2": Kind("Florence2ForConditionalGeneration", 768),
}
"""By the `model_type` of config.json."""


class TransformersCaptioner:
    """Describe images by beam search; a `contracts.Captioner`.

    Args:
        model: A model of one of `KINDS`, in evaluation mode.
        tokenizer: Its tokenizer.
        kind: Which.
        side: Side of the square images, in pixels.
        mean: RGB mean of pixels in [0, 1].
        std: RGB standard deviation.
    """

    def __init__(
        self, model: Any, tokenizer: Any, kind: str, *, side: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.model, self.tokenizer, self.kind = model, tokenizer, kind
        self.side, self.mean, self.std = side, tuple(mean), tuple(std)

    @torch.inference_mode()
    def caption(self, images: Sequence[RgbImage], *, batch_size: int = 8) -> list[str]:
        """Return one caption per image, "" where the model says nothing."""
        captions: list[str] = []
        for start in range(0, len(images), batch_size):
            pixels = self._pixels(images[start : start + batch_size])
            tokens = self.model.generate(
                pixel_values=pixels, num_beams=BEAMS, max_length=None, max_new_tokens=LONGEST, min_length=1,
                do_sample=False, **self._prompt(len(pixels)),
            )  # fmt: skip
            captions += [text.strip() for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        return captions

    def _pixels(self, images: Sequence[RgbImage]) -> Tensor:
        """Normalised pixels (B, 3, side, side)."""
        weight = next(self.model.parameters())
        small = np.stack([resize(image.pixels, (self.side, self.side), resample="bicubic") for image in images])
        values = (torch.from_numpy(small).float() / 255 - torch.tensor(self.mean)) / torch.tensor(self.std)
        return values.permute(0, 3, 1, 2).to(weight)

    def _prompt(self, count: int) -> dict[str, Tensor]:
        """What a family needs beside pixels: Florence-2 a question after the places of the image's features."""
        if self.kind != "florence2":
            return {}
        places = [self.model.config.image_token_id] * self._image_tokens()
        question = self.tokenizer(FLORENCE_TASK)["input_ids"]
        row = torch.tensor([[*places, *question]], device=next(self.model.parameters()).device)
        rows = row.repeat(count, 1)
        return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}

    def _image_tokens(self) -> int:
        """Features that Florence-2 makes of an image: one for each cell of the last map, and their mean."""
        stride = int(np.prod(self.model.config.vision_config.patch_stride))
        return (self.side // stride) ** 2 + 1


def load_captioner(folder: Path, *, device: torch.device, dtype: torch.dtype) -> TransformersCaptioner:
    """Load a BLIP, BLIP-2 or Florence-2 from a folder as transformers saves it.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged, or of another kind.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        got = f"model_type {quote(kind)} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, f"a captioner: {', '.join(KINDS)}", "name one as the part 'captioner'"))
    values = read_processor_values(folder)
    size = values.get("size") or {}
    model = read_pretrained(folder, kind=KINDS[kind].model).to(device, dtype)
    return TransformersCaptioner(
        model, read_tokenizer(folder), kind, side=int(size.get("height", KINDS[kind].side)),
        mean=values.get("image_mean", CLIP_MEAN), std=values.get("image_std", CLIP_STD),
    )  # fmt: skip
