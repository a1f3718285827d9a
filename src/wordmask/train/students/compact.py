"""The compact network in training: with its batch norms, which a loaded one has folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file
from tokenizers import Tokenizer

from wordmask.checkpoints import read_json
from wordmask.methods.compact.method import CompactModel, CompactSettings
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact
from wordmask.methods.compact.weights import fill, load_compact, save_compact
from wordmask.methods.dense import DenseSegmenter
from wordmask.train.students.student import Answer, Student

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wordmask.contracts import Segmenter
    from wordmask.train.recipes import Recipe
    from wordmask.train.views import Batch

PARTS = ("neck", "decoder")
"""What is trained unless the recipe says otherwise: the encoder and the words stay as they are, and with them most of
what the network knows."""


class CompactStudent(Student):
    """See `Student`.

    Args:
        network: The network.
        config: Its sizes.
        settings: How it is run.
        tokenizer: Of its phrases.
        name: In its config.json.
        recipe: What is trained, and how.
    """

    def __init__(
        self, network: CompactNetwork, config: CompactConfig, settings: CompactSettings, tokenizer: Tokenizer,
        name: str, recipe: Recipe,
    ) -> None:  # fmt: skip
        whole = dict(network.named_children())
        side = recipe.size or settings.long_side
        model = CompactModel(name, network, tokenizer, settings)
        size = (-(-side // 32) * 32,) * 2
        super().__init__(
            whole, recipe.parts or PARTS, recipe, size=(size[0], size[1]), square=recipe.fit != "squash",
            mean=model.mean, std=model.std,
        )  # fmt: skip
        self._model = (model,)  # in a tuple, out of sight of torch
        self._whole = (network, config, settings, tokenizer, name)

    def forward(self, batch: Batch) -> Answer:
        model = self._model[0]
        conditions = self._conditions(batch.phrases, model).to(batch.pixels.device)
        each = conditions.view(len(batch.pixels), -1, conditions.shape[-1])
        logits, presence = model.answer(model.encode_pixels(batch.pixels), each)
        return Answer(model.calibrate_masks(logits).flatten(0, 1), presence.flatten())

    def segmenter(self) -> Segmenter:
        device = self._whole[0].text.position.device
        return DenseSegmenter(self._model[0], device=device)

    def export(self, folder: Path) -> None:
        network, config, settings, tokenizer, name = self._whole
        save_compact(folder, name, network, config, settings, tokenizer)

    def _conditions(self, phrases: list[str], model: CompactModel) -> Tensor:
        return model.embed_texts(phrases) if "text" in self.trained else self.embedded(phrases, model.embed_texts)


def open_compact(folder: Path, recipe: Recipe) -> CompactStudent:
    """Open a folder that `save_compact` wrote.

    Raises:
        CheckpointError: If it is damaged.
    """
    load_compact(folder)  # its checks and their messages
    values = read_json(folder / "config.json")
    config = CompactConfig.from_json(values["network"])
    network = build_compact(config)
    fill(network, load_file(folder / "model.safetensors"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = CompactSettings(**values["settings"])
    return CompactStudent(network.eval(), config, settings, tokenizer, values.get("name", folder.name), recipe)
