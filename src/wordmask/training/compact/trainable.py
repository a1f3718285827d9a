"""The compact network with everything its training adds: queries of competing names, heads of teachers, losses."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.losses import bce, dice
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.weights import save_compact
from wordmask.methods.dense import DenseSegmenter
from wordmask.training.compact.losses import (
    LossWeights,
    box_projection,
    class_logits,
    class_loss,
    colour_affinity,
    example_loss,
    pairwise_affinity,
)
from wordmask.training.compact.presence import PresenceLoss
from wordmask.training.compact.teachers import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tokenizers import Tokenizer

    from wordmask.contracts import Segmenter
    from wordmask.methods.compact.mask_decoder import ImageFeatures
    from wordmask.methods.compact.network import CompactConfig, CompactNetwork
    from wordmask.methods.compact.settings import CompactSettings
    from wordmask.training.compact.mixing import CompactBatch
    from wordmask.training.compact.teachers import Teachers

__all__ = ["CompactTrainable"]


class CompactTrainable(nn.Module):
    """Network, queries of the class loss, heads that predict teachers' features, and running presence counts.

    The text encoder stays as it is: conditions come with the batches.

    Args:
        network: to train.
        config: its sizes.
        settings: how it is run.
        tokenizer: of its phrases.
        name: in its config.json.
        weights: of the losses.
    """

    square = True
    parts = ("encoder", "neck", "decoder", "example")

    def __init__(
        self,
        network: CompactNetwork,
        config: CompactConfig,
        settings: CompactSettings,
        tokenizer: Tokenizer,
        *,
        name: str = "wordmask-compact",
        weights: LossWeights | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = copy.deepcopy(network.decoder.query)  # names compete here and not in a mask
        self.weights = weights or LossWeights()
        self.presence = PresenceLoss(0)
        self.heads = nn.ModuleDict()
        self._saved = (network, config, settings, tokenizer, name)
        self._model = (CompactModel(name, network, tokenizer, settings),)  # in a tuple, out of sight of torch
        self._teachers: list[Teachers] = []
        self.size, self.mean, self.std = settings.long_side, self._model[0].mean, self._model[0].std
        network.text.requires_grad_(False)

    def embed(self, phrases: list[str]) -> Tensor:
        """Unit vectors (P, C) of phrases, from the text encoder as it ships."""
        return self._model[0].embed_texts(phrases)

    def prepare(self, names: int, teachers: Teachers | None = None) -> None:
        """Make room for what the data need: running counts of `names` names, heads of teachers."""
        self.presence = PresenceLoss(names)
        self._teachers = [] if teachers is None else [teachers]
        sizes = {"coarse": self._saved[1].channels, "deep": self._saved[1].widths[-1]}
        for head, (source, channels) in (teachers.heads if teachers is not None else {}).items():
            self.heads[head] = nn.Conv2d(sizes[source], channels, 1)

    def train(self, mode: bool = True) -> CompactTrainable:
        """Set the mode; the text encoder stays as in use."""
        super().train(mode)
        self.network.text.eval()
        return self

    def loss(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the named, weighted losses of a batch (`CompactBatch`)."""
        network, w = self.network, self.weights
        maps = network.encoder(batch.pixels.contiguous(memory_format=torch.channels_last))
        features = network.neck(maps)
        logits, presence = network.decoder(features, batch.vectors)
        queries = self.classes(network.decoder.gain * batch.value_vectors)  # (S, V, D + 1)
        names = class_logits(features.pixel, queries[batch.space], batch.cells, batch.allowed)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            logits, presence = logits.float(), presence.float()
            classes = torch.gather(batch.classes.flatten(1), 1, batch.cells)
            there = (batch.presence, batch.presence_weights, batch.names)
            losses = {
                "mask": w.mask * self._masks(logits, batch),
                "class": w.classes * class_loss(names, classes, batch.balance[batch.space]),
                "presence": w.presence * self.presence(presence, *there),
                "example": w.example * self._examples(features, batch),
            }
            losses |= self._boxes(logits, batch)
        for teachers in self._teachers:
            losses |= teachers.losses(w, self.heads, batch, Seen(maps, features, logits, names), step)
        return losses

    def _masks(self, logits: Tensor, batch: CompactBatch) -> Tensor:
        rows = [x.flatten(0, 1) for x in (logits, batch.targets, batch.weights)]
        overlap = dice(*rows) * (1 - 0.5 * batch.boxed.flatten())  # of boxed names not all of the mask is known
        return (bce(*rows) + overlap).mean()

    def _boxes(self, logits: Tensor, batch: CompactBatch) -> dict[str, Tensor]:
        """Projection and affinity of boxed prompts; their share of all prompts keeps the balance with the masks."""
        w = self.weights
        projection = box_projection(logits.flatten(0, 1), batch.inside.flatten(0, 1)) * batch.boxed.flatten()
        small = F.interpolate(batch.pixels, size=logits.shape[-2:], mode="area")
        pairs = pairwise_affinity(logits, colour_affinity(small), batch.inside) * batch.boxed
        return {"box": w.box * projection.mean(), "affinity": w.affinity * pairs.mean()}

    def _examples(self, features: ImageFeatures, batch: CompactBatch) -> Tensor:
        covered = batch.targets[:, 0] * (batch.weights[:, 0] > 0)
        there = (covered.sum((1, 2)) > 2) & (batch.presence[:, 0] > 0)
        vectors = self.network.read_example(type(features)(*(f.float() for f in features)), covered)
        return example_loss(vectors, batch.vectors[:, 0], batch.names[:, 0], there)

    def parameter_groups(self, schedule: Any) -> list[dict[str, Any]]:
        """Return two groups: what reads pixels first, which Muon leaves alone, and the rest."""
        trained = {k: p for k, p in self.named_parameters() if p.requires_grad}
        stem = {k: p for k, p in trained.items() if k.startswith("network.encoder.stem")}
        rest = {k: p for k, p in trained.items() if k not in stem}
        return [{"params": list(stem.items()), "muon": False}, {"params": list(rest.items())}]

    def frozen(self) -> Iterable[tuple[str, Tensor]]:
        """Return the text encoder's weights."""
        return [(f"text.{k}", v) for k, v in self.network.text.state_dict().items()]

    def segmenter(self) -> Segmenter:
        """Return a segmenter that shares the weights."""
        return DenseSegmenter(self._model[0], device=self._saved[0].text.position.device)

    def export(self, folder: Path) -> None:
        """Write a folder that `wordmask.load` reads."""
        network, config, settings, tokenizer, name = self._saved
        save_compact(folder, name, network, config, settings, tokenizer)
