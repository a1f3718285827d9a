"""Knowledge distillation from other networks, beside the labels (Hinton et al., arXiv 1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.losses import bce, dice
from wordmask.training.compact.augment import colour_statistics, constant
from wordmask.training.compact.losses import relational

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.methods.compact.mask_decoder import ImageFeatures
    from wordmask.methods.compact.method import CompactModel
    from wordmask.training.compact.losses import LossWeights
    from wordmask.training.compact.mixing import CompactBatch


class Seen(NamedTuple):
    """Outputs of the trained network for a batch.

    Attributes:
        maps: of the image encoder, at strides 4, 8, 16 and 32.
        features: of the neck.
        logits: float (B, K, h, w) of masks.
        names: float (B, n, V + 1) of competing names.
    """

    maps: tuple[Tensor, ...]
    features: ImageFeatures
    logits: Tensor
    names: Tensor


@dataclass
class FeatureTeacher:
    """A network that shows features, and label maps where it gives names.

    Attributes:
        run: float (B, 3, S, S) in [-1, 1] -> feature maps (B, C, h, w) and, or None, logits (B, L, h, w).
        size: side to which images are resized, as a factor.
        channels: C.
        source: "coarse" (the neck's map at stride 8) or "deep" (the encoder's at stride 32) predicts the features.
        grid: side of the grid on which features are compared, as a divisor of the image's side.
        values: label values of the first label space that the L logits stand for, 0 first; () = none.
        rows: slice of the batch that it answers.
    """

    run: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    channels: int
    source: str
    size: float = 1.5
    grid: int = 16
    values: tuple[int, ...] = ()
    rows: slice = field(default_factory=lambda: slice(None))


class Teachers:
    """Earlier compact networks for masks; networks of other kinds for features and label maps.

    Args:
        models: compact networks of the same text encoder; they take turns.
        rows: slice of the batch that they answer.
        features: name -> teacher of features.
    """

    def __init__(
        self,
        models: list[CompactModel],
        rows: slice,
        features: dict[str, FeatureTeacher] | None = None,
    ) -> None:
        self.models, self.rows, self.features = models, rows, features or {}

    @property
    def heads(self) -> dict[str, tuple[str, int]]:
        """Name -> map that predicts the features, and their channels."""
        return {k: (t.source, t.channels) for k, t in self.features.items()}

    def losses(
        self, weights: LossWeights, heads: nn.ModuleDict, batch: CompactBatch, seen: Seen, step: int
    ) -> dict[str, Tensor]:
        """Return the named, weighted losses of a batch."""
        w, result = weights, {}
        if self.models and w.taught:
            result["taught"] = w.taught * mask_loss(seen.logits[self.rows], self.masks(batch, step))
        for name, teacher in self.features.items():
            shown, given = self._look(teacher, batch)
            source = seen.features.coarse if teacher.source == "coarse" else seen.maps[-1]
            side = batch.pixels.shape[-1] // teacher.grid
            predicted = heads[name](F.adaptive_avg_pool2d(source[teacher.rows], side))
            result[name] = w.features * relational(predicted, F.adaptive_avg_pool2d(shown.float(), side))
            if given is not None and w.labels:
                result[f"{name} labels"] = w.labels * label_loss(teacher, batch, seen.names, given)
        return result

    @torch.no_grad()
    def masks(self, batch: CompactBatch, step: int) -> Tensor:
        """Calibrated mask probabilities (b, K, h, w) of the teacher whose turn it is."""
        model = self.models[step % len(self.models)]
        with torch.autocast(batch.pixels.device.type, enabled=False):
            encoded = model.encode_pixels(batch.pixels[self.rows])
            answer, _ = model.answer(encoded, batch.vectors[self.rows].to(encoded.maps.pixel.dtype))
        return model.calibrate_masks(answer.float()).sigmoid()

    @torch.no_grad()
    def _look(self, teacher: FeatureTeacher, batch: CompactBatch) -> tuple[Tensor, Tensor | None]:
        pixels = batch.pixels[teacher.rows]
        mean, std = colour_statistics(pixels.device)
        plain = (pixels * std + mean).clamp(0, 1) * 2 - 1
        side = int(batch.pixels.shape[-1] * teacher.size) // 2 * 2 + 1
        if side != plain.shape[-1]:
            plain = F.interpolate(plain, size=(side, side), mode="bilinear", align_corners=False)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            return teacher.run(plain.contiguous(memory_format=torch.channels_last))


def mask_loss(logits: Tensor, answer: Tensor) -> Tensor:
    """Cross-entropy and Dice from a teacher's masks (B, K, h, w), over every cell."""
    rows, targets = logits.flatten(0, 1), answer.flatten(0, 1)
    known = torch.ones_like(rows)
    return (bce(rows, targets, known) + dice(rows, targets, known)).mean()


def label_loss(teacher: FeatureTeacher, batch: CompactBatch, names: Tensor, given: Tensor) -> Tensor:
    """Divergence of competing names from a teacher's label map, names known to be absent left out of both.

    Args:
        teacher: whose answer it is.
        batch: of B images.
        names: float (B, n, V + 1) logits of competing names.
        given: float (b, L, h, w) the teacher's logits for its rows.
    """
    rows, cells = teacher.rows, batch.cells
    values = constant(tuple(map(float, teacher.values)), names.device).long()
    side = batch.classes.shape[1:]
    grown = F.interpolate(given.float(), size=side, mode="bilinear", align_corners=False).flatten(2)
    theirs = torch.gather(grown, 2, cells[rows][:, None].expand(-1, grown.shape[1], -1)).transpose(1, 2)
    allowed = batch.allowed[rows][:, values]  # (b, L)
    absent = torch.cat([torch.zeros_like(batch.absent[rows][:, :1]), batch.absent[rows]], 1)[:, values]
    possible = allowed & (absent < 0.85)
    possible[:, 0] = True
    theirs = theirs.masked_fill(~possible[:, None], -1e4).softmax(2)
    ours = names[rows][:, :, values].log_softmax(2)
    divergence = -(theirs * ours).sum(2) + (theirs * theirs.clamp(min=1e-8).log()).sum(2)
    counts = (allowed.sum(1) >= min(len(values), 15)).float()[:, None]
    return (divergence * counts).sum() / (counts.sum() * cells.shape[1]).clamp(min=1)
