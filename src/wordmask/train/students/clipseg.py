"""CLIPSeg and its variants in training: a decoder on frozen towers (arXiv 2112.10003, sections 3 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.clipseg import loader
from wordmask.methods.clipseg.config import MODEL_TYPE
from wordmask.methods.clipseg.decoder import ReducedActivations
from wordmask.methods.clipseg.model import mix_condition
from wordmask.methods.clipseg.saving import save_clipseg
from wordmask.methods.dense import DenseSegmenter
from wordmask.train.students.fresh import read_start
from wordmask.train.students.student import Answer, Student, fingerprint_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from wordmask.contracts import Segmenter
    from wordmask.methods.clipseg.checkpoint import Checkpoint
    from wordmask.methods.clipseg.model import ClipSeg
    from wordmask.train.readouts import ReadoutStore
    from wordmask.train.recipes import Recipe
    from wordmask.train.views import Batch


TRAINABLE = ("clipseg", MODEL_TYPE)
"""Values of `model_type` in the folders of models whose decoder is trained further."""


class ClipSegStudent(Student):
    """See `Student`; its one trained part is the decoder.

    Args:
        model: The whole.
        start: Reads again what the model was made from; its towers are what is exported.
        recipe: What is trained, and how.
    """

    def __init__(self, model: ClipSeg, start: Callable[[], Checkpoint], recipe: Recipe) -> None:
        _require_decoder(recipe.parts)
        whole = {"vision": model.vision, "text": model.text, "decoder": model.decoder}
        super().__init__(
            whole, ("decoder",), recipe, size=model.size, square=recipe.fit == "square", mean=model.mean, std=model.std
        )
        self._model, self._start = (model,), start
        self._see: Callable[[Tensor], Sequence[Tensor]] = model.vision.forward
        self._look: Callable[[Tensor], Tensor] = model.vision.pooled

    def forward(self, batch: Batch) -> Answer:
        model = self._model[0]
        with torch.no_grad():
            readouts = self._see(batch.pixels)
            conditions = self._conditions(batch)
        reduced = model.decoder.reduce(readouts, model.vision.grid(batch.pixels))
        each = len(conditions) // len(batch.pixels)
        if each > 1:
            reduced = ReducedActivations(*(part.repeat_interleave(each, dim=0) for part in reduced))
        return Answer(model.decoder(reduced, conditions), None)

    def use_store(self, store: ReadoutStore) -> None:
        """Keep the vision tower's outputs on disk: read-outs of views, and conditions of examples that come again."""
        from wordmask.train.readouts import StoredReadouts

        vision = self._model[0].vision
        tower = f"{vision.kind}/{fingerprint_weights(vision.state_dict().items())}"
        layers = ",".join(map(str, vision.extract_layers))
        self._see = StoredReadouts(vision.forward, store, f"{tower}/blocks {layers}")
        if self.recipe.variants:  # otherwise no example is ever cropped alike twice
            pooled = StoredReadouts(lambda pixels: [vision.pooled(pixels)], store, f"{tower}/pooled")
            self._look = lambda pixels: pooled(pixels)[0]

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
        if batch.supports is None:
            return texts
        visual = self._look(batch.supports).float()
        return mix_condition(texts, visual, batch.shares.to(texts))


def open_clipseg(source: Path, recipe: Recipe) -> ClipSegStudent:
    """Open a CLIPSeg or a variant of it, or, for a fresh decoder, what its towers come from.

    Raises:
        CheckpointError: If the files are damaged or do not fit together.
        TrainingError: If the recipe does not fit them.
    """

    def start() -> Checkpoint:
        return read_start(source, recipe)

    return ClipSegStudent(loader.assemble(start(), size=recipe.size or None, fit="squash"), start, recipe)


def _require_decoder(parts: tuple[str, ...]) -> None:
    if parts and parts != ("decoder",):
        got = f"the parts {quote(', '.join(parts))} of a CLIPSeg"
        raise CheckpointError(sentence(got, "'decoder', the one that is trained", "leave parts out"))


__all__ = ["TRAINABLE", "ClipSegStudent", "open_clipseg"]
