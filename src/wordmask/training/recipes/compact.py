"""The recipe `compact`: train the compact network from random weights, or further from weights."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from wordmask.api import find_model
from wordmask.checkpoints import read_json
from wordmask.methods.compact.network import CompactConfig, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import fill, load_compact
from wordmask.settings import Ranges, Settings
from wordmask.training.compact.losses import LossWeights
from wordmask.training.compact.trainable import CompactTrainable
from wordmask.training.compact.training_set import CompactData
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["CompactMethod", "compact"]


def compact() -> Recipe:
    """Train the compact network on your data alone: from random weights, or from those of --model."""
    return Recipe(
        name="compact",
        schedule=Schedule(
            steps=4000, batch=16, lr=1.2e-3, muon_lr=2.5e-3, warm_up=200, lr_schedule="linear", decay_from=1200,
            weight_decay=0.05, decay_biases=False, betas=(0.9, 0.99), gradient_clipping=2.0, nonfinite="skip",
            ema=0.998, sizes=((0, 192), (1700, 256), (3200, 320)), valid_every=1000, save_every=200,
        ),
        data=CompactData(),
        method=CompactMethod(),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CompactMethod(Settings):
    """Settings of the network and of its losses.

    Attributes:
        widths: Channels of the image encoder's stages, of a fresh network.
        depths: Residual blocks of the image encoder's stages, of a fresh network.
        attention: Transformer blocks after the last stage.
        channels: Channels of the neck.
        pixel: Channels of pixel embeddings.
        mask: Weight of the loss of masks.
        classes: Weight of the loss of the name of each pixel.
        presence: Weight of the loss of the presence head.
        example: Weight of the loss of masks asked for by an example.
        box: Weight of the loss between the extents of masks and of boxes.
        affinity: Weight of the loss of neighbouring pixels of like colour, inside boxes.
        taught: Weight of the loss of soft masks from teachers.
        labels: Weight of the loss of soft labels from teachers.
        features: Weight of the loss of features from teachers.
    """

    widths: tuple[int, ...] = (40, 96, 192, 288)
    depths: tuple[int, ...] = (1, 3, 6, 2)
    attention: int = 2
    channels: int = 96
    pixel: int = 80
    mask: float = 1.0
    classes: float = 1.0
    presence: float = 1.0
    example: float = 0.1
    box: float = 0.5
    affinity: float = 0.3
    taught: float = 1.0
    labels: float = 2.0
    features: float = 0.5

    pretrained: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("attention", "channels", "pixel"), (1, 10**4)),
        **dict.fromkeys((f.name for f in fields(LossWeights)), (0, 10**4)),
    }

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Build the network.

        Args:
            model: Folder of weights to go on from; None = random ones, beside the embedded text encoder, which stays
                as it is.
            schedule: Its seed is that of random weights.

        Raises:
            CheckpointError: If the folder is damaged.
        """
        folder = find_model(None) if model is None else model
        load_compact(folder)  # its checks and their messages
        values = read_json(folder / "config.json")
        config = CompactConfig.from_json(values["network"])
        weights = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = CompactSettings(**values["settings"])
        if model is None:
            sizes = ("widths", "depths", "attention", "channels", "pixel")
            config = replace(config, scene_product=True, **{k: getattr(self, k) for k in sizes})
            settings = replace(settings, mask_scale=1.0, mask_shift=0.0, presence_scale=1.0, presence_shift=0.0)
        torch.manual_seed(schedule.seed)
        network = build_compact(config)
        if model is None:
            network.text.load_state_dict({k[5:]: v.float() for k, v in weights.items() if k.startswith("text.")})
        else:
            fill(network, weights)
        losses: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(LossWeights)}
        return CompactTrainable(network, config, settings, tokenizer, weights=LossWeights(**losses))
