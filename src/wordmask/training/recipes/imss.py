"""The recipe `imss`: train the crop network of the embedded IMSS on images of your own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from wordmask.api import find_model
from wordmask.backbones.crop.network import STRIDE, CropConfig, CropNetwork
from wordmask.backbones.crop.weights import load_crop_network
from wordmask.checkpoints import read_json
from wordmask.errors import DataError, sentence
from wordmask.methods.compact import load_compact
from wordmask.methods.imss.refinement import read_vocabulary, trunk_of
from wordmask.settings import Ranges, Settings
from wordmask.training.imss.crop_set import CropData
from wordmask.training.imss.trainable import CropTrainable
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["CropMethod", "imss"]


def imss() -> Recipe:
    """Train the network that draws small targets on crops; the trunk stays frozen."""
    return Recipe(
        name="imss",
        schedule=Schedule(
            steps=3000, batch=8, lr=2e-3, warm_up=200, lr_schedule="linear", decay_from=1500, weight_decay=0.03,
            decay_biases=False, betas=(0.9, 0.99), gradient_clipping=3.0, nonfinite="skip", ema=0.998,
            valid_every=1000, save_every=200,
        ),
        data=CropData(),
        method=CropMethod(),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CropMethod(Settings):
    """Settings of the crop network and of its losses.

    Attributes:
        fresh: Whether the network starts from random weights; otherwise from those of --model, or the embedded ones.
        side: Side of the training crops in pixels, a multiple of 32.
        widths: Channels at strides 2, 4, 8, 16 and 32, of a fresh network.
        recursions: How often shared convolutions are applied, of a fresh network.
        bce: Weight of the cross-entropy, which counts pixels near the border more.
        dice: Weight of the Dice loss.
    """

    fresh: bool = False
    side: int = 128
    widths: tuple[int, ...] = (32, 48, 80, 112, 128)
    recursions: int = 2
    bce: float = 1.0
    dice: float = 1.0

    pretrained: ClassVar[bool] = True
    ranges: ClassVar[Ranges] = {"side": (32, 1024), "recursions": (1, 8), "bce": (0, 10**4), "dice": (0, 10**4)}

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: If one does not fit.
        """
        super().__post_init__()
        if self.side % STRIDE:
            got = f"side={self.side}"
            raise DataError(
                sentence(got, f"a multiple of {STRIDE}", f"change it, to {STRIDE * (self.side // STRIDE + 1)}")
            )

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Open a bundle of a trunk and a crop network for training.

        Args:
            model: Its folder; None = the embedded one.
            schedule: Its seed is that of random weights.

        Raises:
            ModelNotFoundError: A file is missing.
            CheckpointError: A file is damaged.
        """
        folder = find_model("imss") if model is None else model
        trunk_folder, values = trunk_of(folder), read_json(folder / "config.json")
        trunk = load_compact(trunk_folder)
        if self.fresh:
            torch.manual_seed(schedule.seed)
            pyramid = tuple(trunk.model.image_encoder.channels)  # type: ignore[attr-defined]
            sizes = replace(CropConfig(), widths=self.widths, recursions=self.recursions, pyramid=pyramid)
            network = CropNetwork(sizes)
        else:
            network = load_crop_network(folder).train()
        network.requires_grad_(True)
        settings = {str(group): values[group] for group in ("refine", "draw") if group in values}
        return CropTrainable(
            network, trunk, trunk_folder, name=str(values.get("name", folder.name)), settings=settings,
            vocabulary=() if self.fresh else read_vocabulary(folder),
            side=self.side, bce=self.bce, dice=self.dice,
        )  # fmt: skip
