"""The recipes `pmp-host`, `pmp-mask2former` and `pmp-maskformer`: text attention in the decoder of a published host.

The paper's own schedule is not known. Those of its hosts stand in for it: a fine-tuning from a host's converged weights
takes a quarter of the host's steps. For a fair comparison the host has to be trained on for as many, which
`--change position=none` does: nothing is guided then.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

import torch

from wordmask.api import find_model
from wordmask.backbones.clip.pair import read_clip
from wordmask.backbones.hub import fetch_checkpoint
from wordmask.backbones.query_hosts.base import POSITIONS
from wordmask.backbones.query_hosts.criterion import CriterionSettings
from wordmask.backbones.query_hosts.reading import read_host
from wordmask.checkpoints import read_json
from wordmask.checkpoints.bundles import open_parts, read_parts
from wordmask.errors import TrainingError, quote, sentence
from wordmask.methods.pmp.guided_host import GuidanceSettings, GuidedHost
from wordmask.methods.pmp.loading import GUIDED, TWO_STAGE, read_guided, read_pixels
from wordmask.methods.pmp.text_query_attention import VARIANTS
from wordmask.settings import Choices, Ranges, Settings
from wordmask.training.augmentation import Augmentation
from wordmask.training.pmp.host_trainable import PARTS, HostTrainable, HostTraining
from wordmask.training.pmp.prompt_sampling import PromptSampling
from wordmask.training.recipe import Recipe
from wordmask.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Trainable

__all__ = ["HostMethod", "pmp_host", "pmp_mask2former", "pmp_maskformer"]


def pmp_host() -> Recipe:
    """Teach a published host to read prompts, on data of your own: its decoder and the text attention."""
    return Recipe(
        name="pmp-host",
        schedule=Schedule(
            steps=2000, batch=4, lr=1e-4, final_lr=1e-5, warm_up=50, weight_decay=0.05, decay_biases=False,
            gradient_clipping=0.01, nonfinite="skip", save_every=200, valid_every=500,
        ),
        data=Augmentation(prompts=12, negatives=0.25, crop=0.5, mirror=0.5, colour=0.2, holdout=0.1),
        method=HostMethod(parts=("guidance", "decoder"), size=384, points=3136),
    )  # fmt: skip


def pmp_mask2former() -> Recipe:
    """Fine-tune Mask2Former with text attention: a quarter of its schedule on COCO panoptic (368,750 steps of 16)."""
    return Recipe(
        name="pmp-mask2former",
        schedule=Schedule(
            steps=92_188, batch=16, lr=1e-4, final_lr=1e-6, warm_up=10, lr_schedule="linear", decay_from=82_000,
            weight_decay=0.05, decay_biases=False, gradient_clipping=0.01, precision="bf16", save_every=2000,
            valid_every=10_000, workers=8,
        ),
        data=Augmentation(prompts=24, negatives=0.2, crop=0.25, mirror=0.5, colour=0.2, valid_limit=500),
        method=HostMethod(parts=("guidance", "decoder", "pixels", "backbone"), size=1024),
    )  # fmt: skip


def pmp_maskformer() -> Recipe:
    """Fine-tune MaskFormer with text attention: a quarter of OVSeg's 120,000 steps of 32 images of COCO-Stuff-171."""
    return Recipe(
        name="pmp-maskformer",
        schedule=Schedule(
            steps=30_000, batch=32, lr=6e-5, final_lr=6e-7, warm_up=1500, lr_schedule="linear", weight_decay=0.01,
            decay_biases=False, gradient_clipping=0.01, precision="bf16", save_every=1000, valid_every=5000, workers=8,
        ),
        data=Augmentation(prompts=24, negatives=0.2, crop=0.5, mirror=0.5, colour=0.2, valid_limit=500),
        method=HostMethod(
            parts=("guidance", "decoder", "pixels", "backbone"), size=640, criterion="focal", class_weight=1.0,
            mask_weight=20.0, dice_weight=1.0,
        ),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HostMethod(Settings):
    """Settings of the text attention of a host, of its training and of the losses.

    Attributes:
        parts: Parts that are trained: "guidance" (text attention and classifier), "decoder", "pixels", "backbone".
        position: Where a layer is guided: "host" (where its adapter says), one of `POSITIONS`, or "none": the control
            arm, in which no prompt is ever told.
        variant: "gated" or "postnorm".
        gate: Initial value of the gates; 0 starts from the host as it is.
        initial: Whether the initial queries are guided, too.
        prompt_query: Whether a query made from the prompts is added.
        text_tokens: What the decoder reads of a phrase: "sentence" (one token), "word" (one a word) or "both".
        every_name: Whether queries are classified over all phrases of an image; otherwise over those that are told.
        dual_pass: Whether every step has an unguided pass, too, on the same features, with all targets.
        unguided: Probability of an image without prompts.
        full: Probability of an image whose present names are all prompts.
        absent: Probability of an image whose prompts are all absent.
        positives: Most present names where a few are told.
        negatives_told: Most absent names beside them.
        backbone_lr: Multiple of the learning rate for the backbone.
        size: Side of the square training images in pixels.
        criterion: "points" (Mask2Former, EoMT) or "focal" (MaskFormer).
        class_weight: Weight of the cross-entropy of classes.
        mask_weight: Weight of the cross-entropy of masks.
        dice_weight: Weight of the Dice loss.
        no_object: Weight of queries without ground truth.
        points: Points of a mask.
    """

    parts: tuple[str, ...] = ("guidance", "decoder")
    position: str = "host"
    variant: str = "gated"
    gate: float = 0.0
    initial: bool = False
    prompt_query: bool = False
    text_tokens: str = "sentence"
    every_name: bool = False
    dual_pass: bool = False
    unguided: float = 0.1
    full: float = 0.5
    absent: float = 0.05
    positives: int = 3
    negatives_told: int = 3
    backbone_lr: float = 0.1
    size: int = 512
    criterion: str = "points"
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object: float = 0.1
    points: int = 12544

    pretrained: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {
        **{n: r for n, r in PromptSampling.ranges.items() if n != "negatives"},
        "negatives_told": PromptSampling.ranges["negatives"],
        **{
            n: CriterionSettings.ranges[n]
            for n in ("class_weight", "mask_weight", "dice_weight", "no_object", "points")
        },
        "gate": GuidanceSettings.ranges["gate"],
        "backbone_lr": (0, 100),
        "size": (32, 2048),
    }
    choices: ClassVar[Choices] = {
        "position": ("host", "none", *POSITIONS),
        "variant": VARIANTS,
        "text_tokens": ("sentence", "word", "both"),
        "criterion": CriterionSettings.choices["criterion"],
    }

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Open a host for training.

        Args:
            model: Folder of a bundle of a host and a CLIP, or of a host that was trained before; None = the preset
                "two-stage".
            schedule: Its seed is that of the new weights.

        Raises:
            CheckpointError: If the folder is damaged.
            TrainingError: If it is another kind of model, or there is no such part.
        """
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            got = f"the part {quote(unknown[0])}" if unknown else "no part to train"
            raise TrainingError(sentence(got, f"some of {', '.join(PARTS)}", "correct the recipe's parts"))
        folder = find_model("two-stage") if model is None else model
        kind = read_json(folder / "config.json").get("model_type") if folder.is_dir() else None
        if kind not in (TWO_STAGE, GUIDED):
            got = f"the model {quote(folder)}"
            raise TrainingError(
                sentence(got, "a bundle of a host and a CLIP, such as two-stage", "give one with --model")
            )
        files = open_parts(folder, fetch=fetch_checkpoint)
        clip = read_clip(files["clip"])
        if kind == GUIDED:
            guided, pixels = read_guided(folder)
        else:
            guided, pixels = self._fresh(files["host"], clip.channels, schedule.seed), read_pixels(files["host"])
        part = next(part for part in read_parts(folder) if part.role == "clip")
        return HostTrainable(guided, clip, part, pixels, self._training(schedule.seed))

    def _fresh(self, host: Path, text_channels: int, seed: int) -> GuidedHost:
        torch.manual_seed(seed)
        position = "host" if self.position == "none" else self.position
        settings = GuidanceSettings(
            text_channels=text_channels,
            position=position,
            variant=self.variant,
            gate=self.gate,
            token_kinds=self.text_tokens == "both",
            initial=self.initial,
            prompt_query=self.prompt_query,
            classifier=True,
        )
        return GuidedHost(read_host(host, None if position == "host" else position), settings)

    def _training(self, seed: int) -> HostTraining:
        losses = {
            field.name: getattr(self, field.name) for field in fields(CriterionSettings) if hasattr(self, field.name)
        }
        sampling = PromptSampling(
            unguided=1.0 if self.position == "none" else self.unguided,
            full=self.full,
            absent=self.absent,
            positives=self.positives,
            negatives=self.negatives_told,
        )
        return HostTraining(
            self.parts, CriterionSettings(**losses), sampling, self.every_name, self.text_tokens, self.dual_pass,
            self.backbone_lr, self.size, seed,
        )  # fmt: skip
