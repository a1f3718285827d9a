"""The crop network in training, on the frozen trunk."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.backbones.crop.weights import save_crop_weights
from wordmask.components.refiner import CropRefiner, RefinerSettings
from wordmask.errors import TrainingError, sentence
from wordmask.methods.imss.embedded import MODEL_TYPE, EmbeddedImss
from wordmask.methods.imss.refinement import KnownPhrases
from wordmask.training.imss.losses import bce_loss, dice_loss

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from wordmask.backbones.crop.network import CropNetwork
    from wordmask.batch import Batch
    from wordmask.contracts import Segmenter
    from wordmask.methods.dense import DenseSegmenter

__all__ = ["CropTrainable"]

_TRUNK_FILES = ("config.json", "model.safetensors", "tokenizer.json")


class CropTrainable(nn.Module):
    """A crop network that is trained, beside the trunk, which stays as it is.

    Args:
        network: To train.
        trunk: The compact network.
        trunk_folder: Its files, which `export` copies.
        name: In its config.json.
        settings: Of the refinement of other methods' masks ("refine") and of its own ("draw"), as config.json holds
            them.
        vocabulary: Phrases that the network knows already; None: any.
        side: Of the training crops in pixels.
        bce: Weight of the cross-entropy.
        dice: Weight of the Dice loss.
    """

    parts = ("crop",)
    square = True
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(
        self, network: CropNetwork, trunk: DenseSegmenter, trunk_folder: Path, *, name: str = "wordmask-imss",
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        vocabulary: Iterable[str] | None = None, side: int = 128, bce: float = 1.0, dice: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network = network
        self.size = side
        self._trunk = (trunk,)  # in a tuple, out of sight of torch
        self._trunk_folder, self._name, self._settings = trunk_folder, name, dict(settings or {})
        self._weights = (bce, dice)
        self.vocabulary = None if vocabulary is None else set(vocabulary)
        self._phrases: dict[str, Tensor] = {}

    @property
    def trunk(self) -> DenseSegmenter:
        """The frozen network whose masks are refined."""
        return self._trunk[0]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch of crops.

        Raises:
            TrainingError: The batch has no coarse maps.
        """
        if batch.coarse is None:
            remedy = "use the data settings of the recipe imss"
            raise TrainingError(sentence("a batch without coarse maps", "crops with coarse maps", remedy))
        pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            pyramid = self._model.image_encoder(pixels)
            conditions = torch.stack([self._phrase(phrase) for phrase in batch.phrases]).to(pixels.device)
        logits = self.network(pixels, batch.coarse, pyramid, conditions).float()
        cross, overlap = self._weights
        return {
            "bce": cross * bce_loss(logits, batch.masks, batch.known),
            "dice": overlap * dice_loss(logits, batch.masks, batch.known),
        }

    def parameter_groups(self, schedule: Any = None) -> list[dict[str, Any]]:
        """Return all trained weights as one group."""
        return [{"params": list(self.named_parameters())}]

    def frozen(self) -> Iterable[tuple[str, Tensor]]:
        """Return the trunk's weights."""
        return [(f"trunk.{name}", tensor) for name, tensor in self._model.network.state_dict().items()]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move the trunk with the network."""
        self._model.network._apply(fn, recurse)
        self._phrases.clear()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def segmenter(self) -> Segmenter:
        """Return a segmenter that shares the weights."""
        device = next(self.network.parameters()).device
        settings = RefinerSettings(**self._settings.get("draw", {}))
        embed = KnownPhrases(self.trunk, self.vocabulary)
        refiner = CropRefiner(self.network, self._model.image_encoder, settings, embed=embed, device=device)
        return EmbeddedImss(self.trunk.model, refiner, name=self._name, device=device)

    def export(self, folder: Path) -> None:
        """Write a bundle that `wordmask.load` reads, the trunk in it."""
        save_crop_weights(folder, self.network)
        (folder / "trunk").mkdir(exist_ok=True)
        for file in _TRUNK_FILES:
            shutil.copyfile(self._trunk_folder / file, folder / "trunk" / file)
        content: dict[str, Any] = {
            "model_type": MODEL_TYPE,
            "name": self._name,
            "parts": {"trunk": {"path": "trunk"}},
            "network": self.network.config.to_json(),
            **self._settings,
        }
        if self.vocabulary is not None:
            content["vocabulary"] = sorted(self.vocabulary)
        (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @property
    def _model(self) -> Any:
        return self.trunk.model

    def _phrase(self, phrase: str) -> Tensor:
        """The embedding of a phrase (C,), zero for none; each is computed by itself, once."""
        if phrase not in self._phrases:
            width = self.network.config.condition
            vector = self._model.embed_texts([phrase])[0].clone() if phrase else torch.zeros(width)
            self._phrases[phrase] = vector
        return self._phrases[phrase]
