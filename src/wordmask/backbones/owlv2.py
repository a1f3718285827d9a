"""OWLv2 through transformers: boxes for phrases, each phrase scored by itself (arXiv 2306.09683)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wordmask.backbones.encoded_pixels import require_pixels
from wordmask.backbones.low_precision import cast_linears
from wordmask.backbones.phrase_scores import best_phrases, concatenated, from_centres
from wordmask.backbones.pretrained import read_pretrained, read_tokenizer
from wordmask.ops.geometry import Placement
from wordmask.ops.probability import sigmoid
from wordmask.ops.resize import place
from wordmask.prompts.phrases import warn_of_truncation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.contracts import DetectedBoxes, Encoded
    from wordmask.images import RgbImage

__all__ = ["Owlv2", "load_owlv2"]

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IN_FLOAT32 = ("box_head", "class_head", "objectness_head")
"""Layers that stay float32, since their results are coordinates and scores."""
PHRASES_AT_ONCE = 64


class Owlv2:
    """A `Detector`: boxes with a score for each phrase.

    Images lie at the top left of a black square, as in the published preprocessing; shrinking is by Pillow's filter,
    where that one smooths by a Gaussian, so pixels differ a little.

    Args:
        network: `Owlv2ForObjectDetection`.
        tokenizer: CLIP's, as transformers reads it.
        device: Where the network is.
    """

    def __init__(self, network: Any, tokenizer: Any, *, device: torch.device | str = "cpu") -> None:
        self.network, self.tokenizer, self.device = network, tokenizer, torch.device(device)
        self.side = int(network.config.vision_config.image_size)
        self.tokens = int(network.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return boxes with scores, each given to the phrase that it fits best.

        Raises:
            ImageError: If an encoded image was kept without its pixels.
        """
        given = require_pixels(image)
        features = self.network.image_embedder(self.pixels(given).to(self.device))[0]  # (1, h, w, C)
        cells = features.flatten(1, 2)
        side = max(given.size)
        centres: NDArray[np.float32] = self.network.box_predictor(cells, features)[0].float().cpu().numpy()
        boxes = from_centres(centres, (side, side)).clip(0, np.array([given.size[1], given.size[0]] * 2, np.float32))
        scores: list[NDArray[np.float32]] = [
            sigmoid(self.logits(cells, phrases[start : start + PHRASES_AT_ONCE]).cpu().numpy())
            for start in range(0, len(phrases), PHRASES_AT_ONCE)
        ]
        if not scores:
            return concatenated([])
        return best_phrases(boxes, np.concatenate(scores, axis=1), range(len(phrases)))

    def logits(self, cells: Tensor, phrases: Sequence[str]) -> Tensor:
        """Return float32 `(Q, P)` for image features `(1, Q, C)`."""
        ids, mask = self._tokens(phrases)
        texts = self.network.owlv2.text_model(input_ids=ids, attention_mask=mask).pooler_output
        embeddings = self.network.owlv2.text_projection(texts)
        embeddings = embeddings / embeddings.norm(dim=-1, keepdim=True)
        logits: Tensor = self.network.class_predictor(cells, embeddings[None], ids[None, :, 0] > 0)[0]
        return logits[0].float()

    def pixels(self, image: RgbImage) -> Tensor:
        """Return normalised float32 pixels `(1, 3, S, S)`."""
        scale = self.side / max(image.size)
        height, width = (max(1, round(length * scale)) for length in image.size)
        placement = Placement(image.size, (self.side, self.side), (0, 0, height, width))
        unit = place(image.pixels, placement).astype(np.float32) * np.float32(1 / 255)
        return (
            torch.from_numpy((unit - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32))
            .permute(2, 0, 1)[None]
            .contiguous()
        )

    def _tokens(self, phrases: Sequence[str]) -> tuple[Tensor, Tensor]:
        for phrase in phrases:
            length = len(self.tokenizer(phrase)["input_ids"])
            if length > self.tokens:
                warn_of_truncation(phrase, tokens=length, limit=self.tokens)
        texts = self.tokenizer(
            list(phrases), padding="max_length", truncation=True, max_length=self.tokens, return_tensors="pt"
        )
        return texts["input_ids"].to(self.device), texts["attention_mask"].to(self.device)


def load_owlv2(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Owlv2:
    """Read a detector from a local folder as the hub has it.

    Args:
        folder: config.json, weights and tokenizer.
        device: Where it runs.
        dtype: Precision of the matrix products; coordinates are float32 in any case.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    network: Any = read_pretrained(folder, kind="Owlv2ForObjectDetection")
    if dtype != torch.float32:
        cast_linears(network, dtype, but=IN_FLOAT32)
    return Owlv2(network.to(device), read_tokenizer(folder), device=device)
