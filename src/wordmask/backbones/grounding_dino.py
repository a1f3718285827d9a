"""Grounding DINO and MM-Grounding-DINO through transformers: boxes for phrases (arXiv 2303.05499, 2401.02361).

Pure PyTorch: no compiled operation, no timm. All phrases of a call share one pass as long as their tokens fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wordmask.backbones.deformable_attention import use_bag_sampling
from wordmask.backbones.encoded_pixels import require_pixels
from wordmask.backbones.fusion_attention import use_folded_fusion
from wordmask.backbones.low_precision import CastModule, cast_feed_forward, cast_linears
from wordmask.backbones.phrase_scores import best_phrases, concatenated, from_centres, span_scores
from wordmask.backbones.pretrained import read_pretrained, read_processor_values, read_tokenizer
from wordmask.checkpoints import read_json
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.ops.geometry import Placement
from wordmask.ops.resize import resize
from wordmask.prompts.phrases import warn_of_truncation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wordmask.contracts import DetectedBoxes, Encoded
    from wordmask.images import RgbImage
    from wordmask.ops.geometry import Size

__all__ = ["GroundingDino", "load_grounding_dino"]

KINDS = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHORT, LONG = 800, 1333
"""Sides of the resized image in pixels: the shorter is `SHORT`, unless the longer would exceed `LONG`."""
IN_FLOAT32 = (
    "bbox_embed",
    "reference_points_head",
    "class_embed",
    "backbone.conv_encoder",
    "text_backbone",
    "fusion_layer",
)
"""Layers that stay float32: their results are coordinates, or they are small; backbones are converted as a whole."""
_SMALLEST = 32


class GroundingDino:
    """A `Detector`: boxes with a score for each phrase.

    Args:
        network: `GroundingDinoForObjectDetection` or `MMGroundingDinoForObjectDetection`.
        tokenizer: BERT's, as transformers reads it.
        sides: Shorter and longest side of the resized image.
        device: Where the network is.
    """

    def __init__(
        self, network: Any, tokenizer: Any, *, sides: tuple[int, int] = (SHORT, LONG),
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.network, self.tokenizer, self.sides = network, tokenizer, sides
        self.device = torch.device(device)
        self.tokens = int(network.config.max_text_len)
        self.queries = int(network.config.num_queries)
        special = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "[UNK]"])
        self.first, self.last, self.stop, self.unknown = special

    @torch.inference_mode()
    def detect(self, image: Encoded | RgbImage, phrases: Sequence[str]) -> DetectedBoxes:
        """Return boxes with scores, each given to the phrase that it fits best.

        Raises:
            ImageError: If an encoded image was kept without its pixels.
        """
        pixels = require_pixels(image)
        placement = self.canvas(pixels.size)
        values = self.pixels(pixels, placement).to(self.device)
        mask = torch.zeros(1, *placement.canvas, dtype=torch.long, device=self.device)
        mask[:, : placement.content[2], : placement.content[3]] = 1
        found = []
        for chosen, ids, spans in self.passes(phrases):
            logits, boxes = self.forward(values, mask, torch.tensor([ids], device=self.device))
            found.append(best_phrases(from_centres(boxes, pixels.size), span_scores(logits, spans), chosen))
        return concatenated(found)

    def forward(self, pixels: Tensor, mask: Tensor, ids: Tensor) -> tuple[Any, Any]:
        """Return token logits float32 `(Q, L)` and boxes `(Q, 4)` (cx, cy, w, h relative to the image) as arrays."""
        output = self.network(pixel_values=pixels, pixel_mask=mask, input_ids=ids)
        logits = output.logits[0, :, : ids.shape[1]].float().cpu().numpy()
        return logits, output.pred_boxes[0].float().cpu().numpy()

    def canvas(self, size: Size) -> Placement:
        """Return where an image lies on the network's canvas; it is padded where it has too few cells for the queries.

        Args:
            size: `(H, W)` of the image.
        """
        height, width = _resized(size, *self.sides)
        canvas = [max(side, _SMALLEST) for side in (height, width)]
        while _cells(canvas[0], canvas[1]) < self.queries:
            canvas[canvas[0] > canvas[1]] += _SMALLEST
        return Placement(size, (canvas[0], canvas[1]), (0, 0, height, width))

    def pixels(self, image: RgbImage, placement: Placement) -> Tensor:
        """Return normalised float32 pixels `(1, 3, h, w)`; padding is 0."""
        _, _, height, width = placement.content
        content = resize(image.pixels, (height, width)).astype(np.float32) * np.float32(1 / 255)
        canvas = np.zeros((*placement.canvas, 3), np.float32)
        canvas[:height, :width] = (content - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
        return torch.from_numpy(canvas).permute(2, 0, 1)[None].contiguous()

    def passes(self, phrases: Sequence[str]) -> Iterator[tuple[list[int], list[int], list[tuple[int, int]]]]:
        """Yield, for each pass through the network, the phrases' indices, token ids and token spans.

        The text is `[CLS] phrase . phrase . [SEP]`; a pass takes as many phrases as the network has tokens for.
        """
        chosen: list[int] = []
        ids, spans = [self.first], list[tuple[int, int]]()
        for index, phrase in enumerate(phrases):
            own = self._phrase_ids(phrase)
            if chosen and len(ids) + len(own) + 2 > self.tokens:
                yield chosen, [*ids, self.last], spans
                chosen, ids, spans = [], [self.first], []
            chosen.append(index)
            spans.append((len(ids), len(ids) + len(own)))
            ids += [*own, self.stop]
        if chosen:
            yield chosen, [*ids, self.last], spans

    def _phrase_ids(self, phrase: str) -> list[int]:
        ids: list[int] = self.tokenizer(phrase.lower(), add_special_tokens=False)["input_ids"] or [self.unknown]
        ids = [token for token in ids if token not in (self.first, self.last, self.stop)] or [self.unknown]
        if len(ids) > self.tokens - 3:
            warn_of_truncation(phrase, tokens=len(ids), limit=self.tokens - 3)
        return ids[: self.tokens - 3]


def load_grounding_dino(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> GroundingDino:
    """Read a detector from a local folder as the hub has it.

    Args:
        folder: config.json, weights, tokenizer and preprocessor_config.json.
        device: Where it runs.
        dtype: Precision of the matrix products; coordinates are float32 in any case.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in KINDS:
        got = f"a detector of model_type {quote(kind)} in {quote(folder)}"
        raise CheckpointError(sentence(got, " or ".join(KINDS), "give the folder of one of these"))
    network: Any = read_pretrained(folder, kind=KINDS[str(kind)])
    prepare_network(network, dtype)
    return GroundingDino(
        network.to(device), read_tokenizer(folder), sides=_sides(read_processor_values(folder)), device=device
    )


def prepare_network(network: Any, dtype: torch.dtype) -> None:
    """Make the network fast, in place: sampling by table rows, matrix products in `dtype`."""
    use_bag_sampling(network)
    use_folded_fusion(network)
    if dtype == torch.float32:
        return
    inner: Any = network.model
    cast_feed_forward(inner.encoder, dtype)
    cast_linears(network, dtype, but=IN_FLOAT32)
    inner.backbone.conv_encoder = CastModule(inner.backbone.conv_encoder, dtype)
    inner.text_backbone = CastModule(inner.text_backbone, dtype)


def _sides(values: dict[str, Any]) -> tuple[int, int]:
    size = values.get("size")
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size.get("longest_edge") or LONG)
    return SHORT, LONG


def _resized(size: Size, short: int, long: int) -> Size:
    """`(height, width)` after scaling the shorter side to `short`, or the longer to `long` where that is smaller."""
    low, high = min(size), max(size)
    target = float(short) if high / low * short <= long else long * low / high
    near, far = max(1, round(target)), max(1, min(long, int(target * high / low)))
    return (near, far) if low == size[0] else (far, near)


def _cells(height: int, width: int) -> int:
    """Cells of the levels at strides 8 to 64."""
    return sum(-(-height // stride) * -(-width // stride) for stride in (8, 16, 32, 64))
