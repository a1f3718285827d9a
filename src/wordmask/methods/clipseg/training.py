"""CLIPSeg and its variants in training: a decoder on frozen towers (arXiv 2112.10003, sections 3 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.clipseg import loader
from wordmask.methods.clipseg.decoder import ReducedActivations
from wordmask.methods.clipseg.model import mix_condition
from wordmask.methods.clipseg.saving import save_clipseg
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.trainable import DenseAnswer, DenseTrainable, fingerprint_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from wordmask.batch import Batch
    from wordmask.components.feature_cache import FeatureCache
    from wordmask.contracts import Segmenter
    from wordmask.methods.clipseg.checkpoint import Checkpoint
    from wordmask.methods.clipseg.model import ClipSeg
    from wordmask.methods.trainable import TrainedParts

__all__ = ["ClipSegTraining", "finetune_clipseg"]


class ClipSegTraining(DenseTrainable):
    """A CLIPSeg whose decoder is trained.

    Args:
        model: The whole.
        start: Reads again what the model was made from; its towers are what is exported.
        settings: What is trained, and how.
    """

    def __init__(self, model: ClipSeg, start: Callable[[], Checkpoint], settings: TrainedParts) -> None:
        _require_decoder(settings.parts)
        modules = {"vision": model.vision, "text": model.text, "decoder": model.decoder}
        super().__init__(
            modules, ("decoder",), settings, size=max(model.size), square=settings.fit == "square", mean=model.mean,
            std=model.std,
        )  # fmt: skip
        self._model, self._start = (model,), start  # in a tuple, hidden from torch
        self._encode: Callable[[Tensor], Sequence[Tensor]] = model.vision.forward
        self._encode_example: Callable[[Tensor], Tensor] = model.vision.pooled

    def forward(self, batch: Batch, encoded: Any = None) -> DenseAnswer:
        model = self._model[0]
        with torch.no_grad():
            activations = self.encode(batch) if encoded is None else encoded  # each (B, 1 + h * w, width)
            conditions = self._conditions(batch)  # (P, C)
        reduced = model.decoder.reduce(activations, model.vision.grid(batch.pixels))
        each = len(conditions) // len(batch.pixels)
        if each > 1:
            reduced = ReducedActivations(*(part.repeat_interleave(each, dim=0) for part in reduced))  # each (P, ...)
        return DenseAnswer(model.decoder(reduced, conditions), None)

    @torch.no_grad()
    def encode(self, batch: Batch) -> Sequence[Tensor]:
        return self._encode(batch.pixels)

    def embed_words(self, words: Sequence[str]) -> Tensor:
        return self._model[0].embed_texts(words)

    def use_cache(self, cache: FeatureCache) -> None:
        """Keep the vision tower's outputs on disk: features of images, and embeddings of examples that come again."""
        from wordmask.components.feature_cache import CachedFeatures

        vision = self._model[0].vision
        tower = f"{vision.kind}/{fingerprint_weights(vision.state_dict().items())}"
        layers = ",".join(map(str, vision.extract_layers))
        self._encode = CachedFeatures(vision.forward, cache, f"{tower}/blocks {layers}")
        if cache.examples:
            pooled = CachedFeatures(lambda pixels: [vision.pooled(pixels)], cache, f"{tower}/pooled")
            self._encode_example = lambda pixels: pooled(pixels)[0]

    def segmenter(self) -> Segmenter:
        return DenseSegmenter(self._model[0], device=self._model[0].vision.class_token.device)

    def export(self, folder: Path) -> None:
        model = self._model[0]
        own = {name: tensor.detach().cpu().float() for name, tensor in model.decoder.state_dict().items()}
        statistics = (model.mean, model.std, model.size)
        save_clipseg(folder, self._start()._replace(decoder=own, statistics=statistics), model.text.tokenizer)

    def _conditions(self, batch: Batch) -> Tensor:
        model = self._model[0]
        texts = self.embedded(batch.phrases, model.embed_texts).to(batch.pixels.device)
        if batch.supports is None or batch.text_weights is None:
            return texts
        visual = self._encode_example(batch.supports).float()
        return mix_condition(texts, visual, batch.text_weights.to(texts))


def finetune_clipseg(source: Path, settings: TrainedParts) -> ClipSegTraining:
    """Open a CLIPSeg or a variant of it, a folder or an original file, to train its decoder further.

    Raises:
        CheckpointError: If the files are damaged or do not fit together.
    """

    def start() -> Checkpoint:
        return loader.read_original(source, None) if source.is_file() else loader.read_folder(source)

    return ClipSegTraining(loader.assemble(start(), size=settings.size or None, fit="squash"), start, settings)


def _require_decoder(parts: tuple[str, ...]) -> None:
    if parts and parts != ("decoder",):
        got = f"the parts {quote(', '.join(parts))} of a CLIPSeg"
        raise CheckpointError(sentence(got, "'decoder', the one that is trained", "leave parts out"))
