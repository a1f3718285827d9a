"""The compact network in training: with its batch norms, which a loaded one has folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from wordmask.checkpoints import read_json
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import fill, load_compact, save_compact
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.trainable import DenseAnswer, DenseTrainable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from wordmask.batch import Batch
    from wordmask.contracts import Segmenter
    from wordmask.methods.trainable import TrainedParts

__all__ = ["CompactFinetuning", "finetune_compact"]

PARTS = ("neck", "decoder")
"""What is trained unless the settings say otherwise: the image and text encoders stay as they are, and with them most
of what the network knows."""


class CompactFinetuning(DenseTrainable):
    """A compact network, some parts of which are trained further.

    Args:
        network: The network.
        config: Its sizes.
        settings: How it is run.
        tokenizer: Of its phrases.
        name: In its config.json.
        training: What is trained, and how.
    """

    similar_words = 0.8  # "car" and "automobile" have 0.99, "street" and "road" 0.84, "dog" and "cat" 0.61

    def __init__(
        self, network: CompactNetwork, config: CompactConfig, settings: CompactSettings, tokenizer: Tokenizer,
        name: str, training: TrainedParts,
    ) -> None:  # fmt: skip
        modules = dict(network.named_children())
        side = training.size or settings.long_side
        model = CompactModel(name, network, tokenizer, settings)
        size = -(-side // 32) * 32
        super().__init__(
            modules, training.parts or PARTS, training, size=size, square=training.fit != "squash",
            mean=model.mean, std=model.std,
        )  # fmt: skip
        self._model = (model,)  # in a tuple, out of sight of torch
        self._saved = (network, config, settings, tokenizer, name)

    def forward(self, batch: Batch, encoded: Any = None) -> DenseAnswer:
        model = self._model[0]
        conditions = self._conditions(batch.phrases, model).to(batch.pixels.device)
        each = conditions.view(len(batch.pixels), -1, conditions.shape[-1])
        features = model.encode_pixels(batch.pixels) if encoded is None else model.read_pyramid(encoded)
        logits, presence = model.answer(features, each)
        return DenseAnswer(model.calibrate_masks(logits).flatten(0, 1), presence.flatten())

    def encode(self, batch: Batch) -> tuple[Tensor, ...] | None:
        if "encoder" in self.trained:
            return None
        with torch.no_grad():
            return self._model[0].pyramid(batch.pixels)

    def embed_words(self, words: Sequence[str]) -> Tensor:
        return self._model[0].embed_texts(words)

    def segmenter(self) -> Segmenter:
        device = self._saved[0].text.position.device
        return DenseSegmenter(self._model[0], device=device)

    def export(self, folder: Path) -> None:
        network, config, settings, tokenizer, name = self._saved
        save_compact(folder, name, network, config, settings, tokenizer)

    def _conditions(self, phrases: list[str], model: CompactModel) -> Tensor:
        return model.embed_texts(phrases) if "text" in self.trained else self.embedded(phrases, model.embed_texts)


def finetune_compact(folder: Path, settings: TrainedParts) -> CompactFinetuning:
    """Open a folder that `save_compact` wrote, to train some of its parts further.

    Raises:
        CheckpointError: If it is damaged.
    """
    load_compact(folder)  # its checks and their messages
    values = read_json(folder / "config.json")
    config = CompactConfig.from_json(values["network"])
    network = build_compact(config)
    fill(network, load_file(folder / "model.safetensors"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    running = CompactSettings(**values["settings"])
    return CompactFinetuning(network.eval(), config, running, tokenizer, values.get("name", folder.name), settings)
