"""The recipe `pmp`: train the query decoder of the embedded weights, on a trunk that stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from wordmask.api import find_model, method_of
from wordmask.checkpoints import read_json
from wordmask.checkpoints.bundles import read_parts
from wordmask.errors import TrainingError, quote, sentence
from wordmask.methods.compact.weights import load_compact
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.methods.pmp.embedded.settings import ProposalSettings
from wordmask.methods.pmp.embedded.weights import MODEL_TYPE, read_decoder
from wordmask.settings import Ranges, Settings
from wordmask.training.pmp.instance_crops import InstanceAugmentation
from wordmask.training.pmp.losses import ProposalLosses
from wordmask.training.pmp.trainable import ProposalTrainable
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["PmpMethod", "pmp"]


def pmp() -> Recipe:
    """Train proposals guided by the prompt, on the frozen embedded trunk: from random weights, or those of --model.

    Instances with boxes and no masks teach the centre head alone, beside some with masks.
    """
    return Recipe(
        name="pmp",
        schedule=Schedule(
            steps=3600, batch=10, lr=8e-4, final_lr=1.6e-5, warm_up=150, weight_decay=0.03, decay_biases=False,
            betas=(0.9, 0.98), gradient_clipping=2.0, nonfinite="skip", ema=0.998, save_every=200,
        ),
        data=InstanceAugmentation(prompts=2, negatives=0.12, crop=0.5, mirror=0.5, colour=0.2),
        method=PmpMethod(),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PmpMethod(Settings):
    """Settings of the query decoder and of its losses.

    Attributes:
        queries: Learned queries, of a fresh decoder.
        channels: Width of the queries, of a fresh decoder.
        layers: Decoder layers, of a fresh decoder.
        guided: Whether the queries of a fresh decoder attend to the prompt; without, it is a plain query decoder.
        dense: Whether masks of a fresh decoder start from the trunk's dense mask.
        centres: Channels of the maps that divide masks into instances, of a fresh decoder; 0: there are none.
        unguided: Probability of a step without prompts.
        side: Side of the square training images in pixels.
        bce: Weight of the cross-entropy of matched masks.
        dice: Weight of the Dice loss of matched masks.
        quality: Weight of the loss of the expected IoU.
        points: Points at which masks are compared.
        centre: Weight of the losses of those maps.
    """

    queries: int = 16
    channels: int = 128
    layers: int = 3
    guided: bool = True
    dense: bool = True
    centres: int = 64
    unguided: float = 0.3
    side: int = 256
    bce: float = 5.0
    dice: float = 5.0
    quality: float = 2.0
    points: int = 768
    centre: float = 1.0

    pretrained: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {
        "unguided": (0, 1),
        "side": (64, 2048),
        **{name: r for name, r in DecoderConfig.ranges.items() if name in ("queries", "channels", "layers", "centres")},
        **{name: ProposalLosses.ranges[name] for name in ("bce", "dice", "quality", "points", "centre")},
    }

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Build the query decoder.

        Args:
            model: Folder of a query decoder to go on from, or of a compact network to be the trunk of a fresh one;
                None = a fresh one on the embedded trunk.
            schedule: Its seed is that of random weights.

        Raises:
            CheckpointError: If the folder is damaged.
            TrainingError: If it is another kind of model, or the side is no multiple of 32.
        """
        if self.side % 32:
            raise TrainingError(sentence(f"side={self.side}", "a multiple of 32", "change it"))
        folder = find_model("compact") if model is None else model
        name, trunk = "wordmask-pmp", folder
        if folder.is_dir() and read_json(folder / "config.json").get("model_type") == MODEL_TYPE:
            name, network, settings, _ = read_decoder(folder)
            trunk = next(part.path for part in read_parts(folder) if part.path is not None)
        else:
            if method_of(folder).name != "compact":
                got = f"the model {quote(folder)}"
                raise TrainingError(sentence(got, "a query decoder or a compact network", "give one with --model"))
            network, settings = self._fresh(folder, schedule.seed), ProposalSettings()
        compact: Any = load_compact(trunk).model
        losses: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(ProposalLosses)}
        return ProposalTrainable(
            name, network, compact, trunk, settings, losses=ProposalLosses(**losses), unguided=self.unguided,
            size=self.side, seed=schedule.seed,
        )  # fmt: skip

    def _fresh(self, trunk: Path, seed: int) -> ProposalNetwork:
        """A decoder with random weights that fits a trunk."""
        sizes = read_json(trunk / "config.json")["network"]
        torch.manual_seed(seed)
        return ProposalNetwork(
            DecoderConfig(
                **{name: getattr(self, name) for name in ("queries", "channels", "layers", "centres")},
                **{name: getattr(self, name) for name in ("guided", "dense")},
                text=sizes["condition"], fine=sizes["fine"], coarse=sizes["channels"],
                deep=sizes["widths"][2], deepest=sizes["widths"][3],
            )
        )  # fmt: skip
