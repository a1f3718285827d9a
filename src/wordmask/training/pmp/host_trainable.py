"""A published query-based host in training, with text attention in its decoder and a classifier by text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from wordmask.backbones.query_hosts.criterion import CriterionSettings, matched_losses
from wordmask.errors import TrainingError, sentence
from wordmask.methods.pmp.stage_two_settings import StageTwoSettings
from wordmask.methods.pmp.text_query_attention import PromptTokens
from wordmask.methods.pmp.two_stage import TwoStageSegmenter
from wordmask.methods.pmp.two_stage_model import Pixels, TwoStageModel
from wordmask.methods.pmp.vocabulary import VocabularyEncoder
from wordmask.prompts import TextPrompt
from wordmask.training.pmp.prompt_sampling import PromptSampling, SampledPrompts, sample_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.backbones.clip.pair import Clip
    from wordmask.batch import Batch
    from wordmask.checkpoints.bundles import Part
    from wordmask.contracts import Segmenter
    from wordmask.methods.pmp.guided_host import GuidedHost

__all__ = ["PARTS", "HostTrainable", "HostTraining", "StepTargets", "step_targets"]

PARTS = ("guidance", "decoder", "pixels", "backbone")
"""Parts of a guided host: text attention with the classifier by text, query decoder, pixel decoder, backbone."""


class HostTraining(NamedTuple):
    """How a host is trained.

    Attributes:
        parts: Of `PARTS`, those that are trained.
        criterion: Losses.
        sampling: Prompts of a step.
        every_name: Whether queries are classified over all phrases of an image; otherwise over those that are told.
        tokens: What the decoder reads of a phrase: "sentence", "word" or "both".
        dual_pass: Whether every step has an unguided pass, too, on the same features, with all targets.
        backbone_lr: Multiple of the learning rate for the backbone.
        size: Side of the square training images in pixels.
        seed: Of the draws of every step.
    """

    parts: tuple[str, ...]
    criterion: CriterionSettings
    sampling: PromptSampling
    every_name: bool
    tokens: str
    dual_pass: bool
    backbone_lr: float
    size: int
    seed: int


class StepTargets(NamedTuple):
    """What B images are asked and what is to be found in them.

    Attributes:
        prompts: For each image the rows of its prompts among the phrases of the batch; () = unguided.
        names: For each image the rows of the names that its queries are classified over.
        found: For each image the rows of what is to be found.
    """

    prompts: list[list[int]]
    names: list[list[int]]
    found: list[list[int]]


def step_targets(batch: Batch, training: HostTraining, step: int, *, unguided: bool = False) -> StepTargets:
    """Draw the prompts of a step; all draws depend on the seed, the step and the image's place alone.

    A phrase that an image has twice counts once. Phrases of unknown presence are left out.

    Args:
        batch: Images with phrases, masks and presence.
        training: Probabilities.
        step: Number of the step.
        unguided: Whether no image gets a prompt.
    """
    if batch.presence is None:
        got = "data without presence"
        raise TrainingError(sentence(got, "phrases that are known to be present or absent", "choose other data"))
    images, each = len(batch.pixels), len(batch.phrases) // len(batch.pixels)
    known = torch.ones_like(batch.presence) if batch.presence_weights is None else batch.presence_weights
    targets = StepTargets([], [], [])
    for image in range(images):
        rows: dict[str, int] = {}
        for row in range(image * each, (image + 1) * each):
            if known[row] > 0:
                rows.setdefault(batch.phrases[row], row)
        present = [row for row in rows.values() if batch.presence[row] > 0]
        absent = [row for row in rows.values() if batch.presence[row] <= 0]
        random = np.random.default_rng([training.seed, step, image])
        drawn = sample_prompts(present, absent, random, training.sampling)
        if unguided:
            drawn = SampledPrompts((), tuple(present))
        told = list(drawn.prompts)
        targets.prompts.append(told)
        targets.names.append(told if told and not training.every_name else list(rows.values()))
        targets.found.append(list(drawn.targets))
    return targets


class HostTrainable(nn.Module):
    """A host whose decoder learns to read prompts (`contracts.Trainable`).

    Args:
        guided: The host, with a classifier by text.
        clip: Embeds phrases; it stays as it is.
        clip_part: Where the CLIP comes from, for the folder that is written.
        pixels: Preparation of the host's images.
        training: How.
    """

    square = False

    def __init__(self, guided: GuidedHost, clip: Clip, clip_part: Part, pixels: Pixels, training: HostTraining) -> None:
        super().__init__()
        if guided.classifier is None:
            raise TrainingError(sentence("a host without a classifier by text", "one with it", "set classifier=true"))
        self.host = guided.host.model  # with the text attention, under transformers' names and `pmp.`
        self._kept = (guided, clip, clip_part, pixels)  # in a tuple, out of sight of torch
        self.training_settings, self.parts, self.size = training, training.parts, training.size
        self.mean, self.std = pixels.mean, pixels.std
        self._encoder = self._new_encoder()
        self._frozen_names = set()
        for name, weight in self.host.named_parameters():
            trained = guided.host.part_of(name) in training.parts and not name.startswith("class_predictor.")
            weight.requires_grad_(trained)
            if not trained:
                self._frozen_names.add(name)

    def train(self, mode: bool = True) -> HostTrainable:
        """Set the mode; norms of a backbone that is not trained stay as in use."""
        super().train(mode)
        host = self._kept[0].host
        for name, module in self.host.named_modules():
            if host.part_of(name) == "backbone" and "backbone" not in self.parts:
                module.training = False
        return self

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of all supervised outputs by name: of the guided pass, and of the unguided one."""
        seed = (self.training_settings.seed * 1_000_003 + step) & 0x7FFFFFFF
        devices = [batch.pixels.device] if batch.pixels.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # points and dropout depend on the step alone
            torch.manual_seed(seed)
            guided = self._kept[0]
            features = guided.encode(batch.pixels)
            losses = self._pass(batch, features, step_targets(batch, self.training_settings, step))
            if self.training_settings.dual_pass:
                second = self._pass(batch, features, step_targets(batch, self.training_settings, step, unguided=True))
                losses |= {f"unguided_{name}": value for name, value in second.items()}
        return losses

    def _pass(self, batch: Batch, features: tuple[Tensor, ...], asked: StepTargets) -> dict[str, Tensor]:
        guided, device = self._kept[0], batch.pixels.device
        assert guided.classifier is not None
        rows = self._embedded(batch.phrases).to(device)
        names, blank = _padded(rows, asked.names)
        outputs = guided.decode(features, self._tokens(batch.phrases, rows, asked.prompts))
        places = [{row: place for place, row in enumerate(own)} for own in asked.names]
        labels = [
            torch.tensor([where[row] for row in found], dtype=torch.int64, device=device)
            for where, found in zip(places, asked.found, strict=True)
        ]
        masks = (batch.masks * batch.known).to(device)
        targets = [masks[found] for found in asked.found]
        total: dict[str, Tensor] = {}
        for mask_logits, states in zip(outputs.masks, outputs.states, strict=True):
            logits = guided.classifier(states.float(), names, blank)
            found = matched_losses(mask_logits, logits, targets, labels, self.training_settings.criterion)
            for name, value in found.items():
                total[name] = total[name] + value if name in total else value
        return total

    @torch.no_grad()
    def _tokens(self, phrases: list[str], rows: Tensor, prompts: list[list[int]]) -> PromptTokens | None:
        """What the decoder reads of each image's prompts; None where no image has one."""
        told = {row for own in prompts for row in own}
        if not told:
            return None
        pairs = {row: self._encoder.tokens_of(TextPrompt(phrases[row]), phrases[row], rows[row], True) for row in told}
        flat = torch.cat([pairs[row][0].to(rows) for row in sorted(told)])
        kinds = torch.cat([pairs[row][1].to(rows.device) for row in sorted(told)])
        starts, places = 0, {}
        for row in sorted(told):
            count = len(pairs[row][0])
            places[row] = list(range(starts, starts + count))
            starts += count
        chosen = [[place for row in own for place in places[row]] for own in prompts]
        tokens, padding = _padded(flat, chosen)
        return PromptTokens(tokens, padding, _padded(kinds[:, None], chosen)[0][..., 0])

    @torch.no_grad()
    def _embedded(self, phrases: list[str]) -> Tensor:
        """Unit vectors `(P, D)`; each phrase is embedded once, by itself."""
        return torch.cat([self._encoder.sentences([phrase]) for phrase in phrases])

    def parameter_groups(self, schedule: Any = None) -> list[dict[str, Any]]:
        """Return weights with the recipe's decay, gates without any, and a backbone with a lower learning rate."""
        host = self._kept[0].host
        trained = [(name, weight) for name, weight in self.host.named_parameters() if weight.requires_grad]
        gates = [pair for pair in trained if pair[0].endswith(".gate")]
        slow = [pair for pair in trained if host.part_of(pair[0]) == "backbone"]
        apart = {name for name, _ in (*gates, *slow)}
        groups: list[dict[str, Any]] = [{"params": [pair for pair in trained if pair[0] not in apart]}]
        groups.append({"params": gates, "weight_decay": 0.0, "muon": False})
        groups.append({"params": slow, "lr_scale": self.training_settings.backbone_lr})
        return [group for group in groups if group["params"]]

    def frozen(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every weight that must not change, by name."""
        for name, tensor in sorted(self._kept[1].state_dict().items()):
            yield f"clip.{name}", tensor
        for name, tensor in sorted(self.host.state_dict().items()):
            if name in self._frozen_names:
                yield name, tensor

    def to(self, *args: Any, **options: Any) -> HostTrainable:
        """Move the CLIP with the host; what was embedded before is embedded again."""
        super().to(*args, **options)
        self._kept[1].to(*args, **options)
        self._encoder = self._new_encoder()
        return self

    def _new_encoder(self) -> VocabularyEncoder:
        settings = StageTwoSettings(distract_below=0, text_tokens=self.training_settings.tokens)
        return VocabularyEncoder(self._kept[1], settings, ())

    def segmenter(self) -> Segmenter:
        """Return the model as it is now, with its own classifier alone; it shares the weights."""
        guided, clip, _, pixels = self._kept
        tokens = self.training_settings.tokens
        settings = StageTwoSettings(scorer="none", mode="vocab", text_tokens=tokens)
        own = pixels._replace(short=self.size, long=2 * self.size)
        model = TwoStageModel(guided, clip, settings, own, name="pmp-host", is_guided=True)
        return TwoStageSegmenter(model, device=next(self.host.parameters()).device)

    def export(self, folder: Path) -> None:
        """Write a folder that `wordmask.load` reads; it names its CLIP."""
        guided, _, part, pixels = self._kept
        config = {
            "model_type": "wordmask-pmp-host",
            "guidance": guided.settings.to_json(),
            "pixels": {
                "image_mean": pixels.mean,
                "image_std": pixels.std,
                "size": {"shortest_edge": pixels.short, "longest_edge": pixels.long},
            },
            "settings": {"text_tokens": self.training_settings.tokens},
            "parts": {"clip": _as_json(part)},
            "host": self.host.config.to_dict(),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
        weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.host.state_dict().items()}
        save_file(weights, folder / "model.safetensors")


def _padded(rows: Tensor, chosen: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Some rows for each image `(B, N, D)`, and where there are none `(B, N)`."""
    length = max(1, *map(len, chosen))
    tokens = torch.stack([F.pad(rows[own], (0, 0, 0, length - len(own))) for own in chosen])
    counts = torch.tensor([len(own) for own in chosen], device=rows.device)
    return tokens, torch.arange(length, device=rows.device) >= counts[:, None]


def _as_json(part: Part) -> dict[str, Any]:
    if part.path is not None:
        return {"path": str(part.path.resolve())}
    known = {"hub": part.hub, "revision": part.revision, "bytes": part.bytes, "licence": part.licence}
    return {name: value for name, value in known.items() if value is not None}
