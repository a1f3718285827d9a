"""The recipe `imss-sam`: train the resolver of IMSS on a frozen SAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from wordmask.api import find_model
from wordmask.backbones.hub import fetch_checkpoint
from wordmask.backbones.sam import load_sam
from wordmask.checkpoints.bundles import open_parts
from wordmask.errors import TrainingError, quote, sentence
from wordmask.methods.imss.resolved import fresh_resolver, read_resolver
from wordmask.methods.imss.training import ResolverTraining, TrainedResolver
from wordmask.training.imss.region_windows import RegionWindows
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["SamResolver", "imss_sam"]


def imss_sam() -> Recipe:
    """Train the resolver of IMSS on a frozen SAM; --model imss-sam-b, -l or -h, or a bundle of your own.

    Adam with 1e-3, divided by ten towards the end, no weight decay, batches of 4, as SAM-HQ is trained; half of the
    windows lie round small targets at the scales of zooming.
    """
    return Recipe(
        name="imss-sam",
        schedule=Schedule(
            steps=12_000, batch=4, lr=1e-3, final_lr=1e-4, lr_schedule="linear", decay_from=9000, weight_decay=0.0,
            gradient_clipping=1.0, nonfinite="skip", valid_every=0, save_every=500,
        ),
        data=RegionWindows(prompts=4, crop=0.5, mirror=0.5, colour=0.2, zoom=0.5),
        method=SamResolver(),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SamResolver(TrainedResolver):
    """Settings of the resolver, and where it starts.

    Attributes:
        zooms: Whether the result segments small boxes in windows of their own, for which it must have been trained.
    """

    zooms: bool = True

    pretrained: ClassVar[bool] = False

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Open a bundle of a detector and a SAM, with a resolver or without.

        Args:
            model: Its folder; None = the preset `imss-sam-b`.
            schedule: Its seed is that of a fresh resolver and of the prompts.

        Raises:
            TrainingError: If the folder is no such bundle.
            CheckpointError: If a part is damaged; ModelNotFoundError if one is missing.
        """
        folder = find_model("imss-sam-b") if model is None else model
        folders = open_parts(folder, fetch=fetch_checkpoint) if folder.is_dir() else {}
        if not {"detector", "segmenter"} <= set(folders):
            got = f"the model {quote(folder)} with the parts {', '.join(folders) or 'none'}"
            raise TrainingError(
                sentence(got, "a detector and a SAM", "give --model imss-sam-b or a bundle of your own")
            )
        parts = load_sam(folders["segmenter"], with_levels=True)
        if "resolver" in folders:
            resolver = read_resolver(folders["resolver"], parts).requires_grad_(True)
        else:
            torch.manual_seed(schedule.seed)
            resolver = fresh_resolver(parts, token=self.token, evit=self.evit, cram=self.cram, zoom=self.zooms)
        return ResolverTraining(parts, resolver, self, bundle=folder, folders=folders, seed=schedule.seed)
