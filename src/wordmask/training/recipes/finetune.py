"""The recipe `finetune`: adapt a model to images of your own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from wordmask.api import find_model
from wordmask.checkpoints import read_json
from wordmask.errors import TrainingError, quote, sentence
from wordmask.methods.table import METHODS, imported, method_of_type
from wordmask.methods.trainable import TrainedParts
from wordmask.training.augmentation import Augmentation
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["Finetuning", "finetune"]


def finetune() -> Recipe:
    """Adapt a trained model to images of your own: CLIPSeg's decoder, or the embedded network."""
    return Recipe(
        name="finetune",
        schedule=Schedule(
            steps=1000, batch=8, lr=3e-4, final_lr=3e-5, warm_up=20, gradient_clipping=1.0, valid_every=100,
            save_every=100,
        ),
        data=Augmentation(prompts=3, negatives=0.25, crop=0.6, mirror=0.5, colour=0.3, holdout=0.1),
        method=Finetuning(bce=1.0, balanced_bce=0.25, dice=1.0, presence=0.5, distillation=0.3),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finetuning(TrainedParts):
    """Settings of training parts of any model further."""

    pretrained: ClassVar[bool] = True

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Open the model in a local folder for training.

        Args:
            model: The folder, or an original CLIPSeg file; None = the embedded weights.
            schedule: Is not used: nothing is drawn.

        Raises:
            CheckpointError: If the folder is damaged; ModelNotFoundError if files are missing.
            TrainingError: If there is no training for this kind of model.
        """
        folder = find_model(None) if model is None else model
        kind = read_json(folder / "config.json").get("model_type") if folder.is_dir() else "clipseg"
        method = method_of_type(kind)
        if method is None or method.trainer is None:
            ready = " or ".join(repr(name) for one in METHODS.values() if one.trainer for name in one.loaders)
            got = f"the model {quote(folder)} of model_type {quote(kind)}"
            raise TrainingError(sentence(got, ready, "give another folder or hub id with --model"))
        trainable: Trainable = imported(method.trainer)(folder, self)
        return trainable
