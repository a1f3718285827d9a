"""Train further presence heads after the masks, on whole images with whole vocabularies as prompts.

The network is frozen, so the heads' inputs are computed once for each image and phrase; the heads are trained on those
rows. Their mean is added to the logit of the decoder's own head. That logit is no input of the heads, because it is
overfitted: far more accurate on training images than on others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from wordmask.checkpoints import read_json
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import fill, load_compact, save_compact
from wordmask.training.compact.presence_rows import AskedImage, PresenceRows, collect_rows
from wordmask.training.compact.presence_views import another_view

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from wordmask.methods.compact.pooled_presence import PooledPresence

__all__ = [
    "PresenceLimits",
    "PresenceStage",
    "add_pooled_presence",
    "added_logits",
    "choose_gate",
    "fit_heads",
    "fit_scale",
    "held_rows",
    "lower_gate",
    "presence_stage",
    "row_weights",
]


@dataclass(frozen=True, kw_only=True)
class PresenceStage:
    """Settings of `add_pooled_presence`.

    Attributes:
        members: Heads.
        epochs: Passes over the rows.
        batch: Rows of a step.
        lr: Highest learning rate (one cycle).
        weight_decay: Of AdamW.
        held: Part of the images on which scale, shift and gate are chosen.
        weights: Group -> its weight in the loss; 1 where a group is missing.
        seed: Of everything random.
    """

    members: int = 4
    epochs: int = 10
    batch: int = 1024
    lr: float = 2e-3
    weight_decay: float = 0.1
    held: float = 0.15
    weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


GATES = [round(0.05 + 0.01 * i, 2) for i in range(91)]


class PresenceLimits(NamedTuple):
    """Limits of a group at the presence threshold: most absent names and least present names above it (fractions)."""

    absent: float
    found: float


def presence_stage(
    folder: Path, images: Iterable[AskedImage], out: Path, *, stage: PresenceStage, limits: Mapping[str, PresenceLimits]
) -> dict[str, float]:
    """Add presence heads to the compact network of a folder, calibrate presence, choose the gate, write a new folder.

    Args:
        folder: That `load_compact` reads; heads of an earlier run of this stage are replaced.
        images: Training images; a part of them (`stage.held`) is for scale, shift and gate.
        out: For config.json, model.safetensors and tokenizer.json.
        stage: Settings.
        limits: Group -> what the gate should reach on it.

    Returns:
        The new settings presence_scale, presence_shift and presence_threshold.
    """
    model: Any = load_compact(folder).model
    rows = collect_rows(model, images)
    values = read_json(folder / "config.json")
    config, settings = CompactConfig.from_json(values["network"]), CompactSettings.from_json(values["settings"])
    network = build_compact(config)
    fill(network, load_file(folder / "model.safetensors"))
    larger, config = add_pooled_presence(network, config, rows, stage)
    heads, held = larger.decoder.pooled, held_rows(rows, stage)
    assert heads is not None
    logits = rows.own + added_logits(heads, rows)
    scale, shift = fit_scale(logits[held], rows.there[held], row_weights(rows, held, stage.weights)[held])
    gate = choose_gate((scale * logits + shift).sigmoid(), rows, held, limits)
    found = {"presence_scale": round(scale, 4), "presence_shift": round(shift, 4), "presence_threshold": gate}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    save_compact(out, values["name"], larger, config, CompactSettings.from_json(settings.to_json() | found), tokenizer)
    return found


def row_weights(rows: PresenceRows, chosen: Tensor, weights: Mapping[str, float]) -> Tensor:
    """Return loss weights (R,) of mean 1 over the chosen rows.

    In each group present and absent names weigh the same, and on each side a name that is asked often weighs less
    (by the power 0.3 of how often).

    Args:
        rows: Of R pairs.
        chosen: bool (R,).
        weights: Group -> its weight, 1 where it is missing.
    """
    result = torch.zeros(len(rows), dtype=torch.float64)
    for number, group in enumerate(rows.groups):
        for side in (0, 1):
            part = (rows.group == number) & (rows.there == side) & chosen
            if part.any():
                names, sure = rows.name[part], rows.sure[part].double()
                often = torch.zeros(len(rows.conditions), dtype=torch.float64).index_add_(0, names, sure)
                share = sure / often[names].clamp(min=1) ** 0.3
                result[part] = share / share.sum() * weights.get(group, 1.0)
    return (result / result[chosen].mean()).float()


def fit_heads(heads: PooledPresence, rows: PresenceRows, chosen: Tensor, stage: PresenceStage) -> None:
    """Train presence heads on chosen rows, bool (R,), with binary cross-entropy for every head."""
    generator = torch.Generator().manual_seed(stage.seed)
    weights, index = row_weights(rows, chosen, stage.weights), torch.nonzero(chosen).squeeze(1)
    heads.norm.fit(rows.pooled[index])
    heads.scene_norm.fit(rows.scene[torch.unique(rows.image[index])])
    steps = max(2, stage.epochs * len(index) // stage.batch)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=stage.lr, weight_decay=stage.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.lr, total_steps=steps + 1, pct_start=0.1)
    heads.train()
    with torch.random.fork_rng():
        torch.manual_seed(stage.seed)  # of dropout
        for _ in range(steps):
            picked = index[torch.randint(len(index), (min(stage.batch, len(index)),), generator=generator)]
            logits = heads.logits(*rows.inputs(picked))  # (members, n)
            there, weight = rows.there[picked].expand_as(logits), weights[picked].expand_as(logits)
            loss = F.binary_cross_entropy_with_logits(logits, there, weight=weight)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    heads.eval()


@torch.inference_mode()
def added_logits(heads: PooledPresence, rows: PresenceRows) -> Tensor:
    """Return what the heads add to the own head's logits, (R,)."""
    return torch.cat([heads(*rows.inputs(part)) for part in torch.split(torch.arange(len(rows)), 4096)])


def add_pooled_presence(
    network: CompactNetwork, config: CompactConfig, rows: PresenceRows, stage: PresenceStage
) -> tuple[CompactNetwork, CompactConfig]:
    """Return the network with presence heads trained on the rows outside the held part, and its config."""
    config = replace(config, pooled_presence=stage.members)
    with torch.random.fork_rng():
        torch.manual_seed(stage.seed)
        larger = build_compact(config)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("decoder.pooled.")}
    larger.load_state_dict(state, strict=False)
    heads = larger.decoder.pooled
    assert heads is not None
    fit_heads(heads, rows, ~held_rows(rows, stage), stage)
    return larger.eval(), config


def held_rows(rows: PresenceRows, stage: PresenceStage) -> Tensor:
    """Return bool (R,): rows of the images held back from training the heads."""
    draws = np.random.default_rng(stage.seed).random(len(rows.scene))
    return torch.from_numpy(draws < stage.held)[rows.image]


def fit_scale(logits: Tensor, there: Tensor, weights: Tensor) -> tuple[float, float]:
    """Return scale and shift of logits (R,) with the lowest weighted cross-entropy (Platt scaling)."""
    both = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([both], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        scaled = both[0] * logits.double() + both[1]
        value = F.binary_cross_entropy_with_logits(scaled, there.double(), weight=weights.double())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    scale, shift = both.tolist()
    return scale, shift


def choose_gate(
    probabilities: Tensor, rows: PresenceRows, chosen: Tensor, limits: Mapping[str, PresenceLimits]
) -> float:
    """Return the gate whose smallest margin to the limits of the groups is largest, the lowest of equals.

    Args:
        probabilities: Calibrated presence (R,).
        rows: Of R pairs.
        chosen: bool (R,).
        limits: Group -> its limits.
    """
    parts = [
        (limits[group], [chosen & (rows.group == number) & (rows.there == side) for side in (0, 1)])
        for number, group in enumerate(rows.groups)
        if group in limits
    ]
    parts = [(limit, sides) for limit, sides in parts if all(side.any() for side in sides)]
    margins = []
    for gate in GATES:
        margin = 1.0
        for limit, sides in parts:
            absent, found = (_passing(probabilities, rows, part, gate) for part in sides)
            margin = min(margin, limit.absent - absent, found - limit.found)
        margins.append(round(margin, 6))
    return GATES[int(np.argmax(margins))]


def lower_gate(
    folder: Path,
    images: Iterable[AskedImage],
    *,
    group: str,
    found: float,
    sides: Sequence[int] = (),
    sided: Collection[str] = (),
    seed: int = 0,
) -> float:
    """Choose the gate on other views of training images, and write it into a folder's config.json.

    Training images as they are let the gate seem better than it is. On strongly changed views of them
    (`presence_views`) the network is about as unsure as on new images.

    Args:
        folder: Of a compact network with calibrated presence.
        images: Training images.
        group: Whose present names are counted.
        found: Part of them that has to be found.
        sides: Longer sides of canvases in pixels, from which each image's is drawn; (): that of inference.
        sided: Groups with names that have a side, whose images are not mirrored.
        seed: Of the views.

    Returns:
        The highest gate, up to the present one, that finds as many; the lowest of all if none does.
    """
    model: Any = load_compact(folder).model
    rng = np.random.default_rng(seed)
    views = (another_view(image, mirror=image.group not in sided, rng=rng) for image in images)
    rows = collect_rows(model, views, sides=sides, seed=seed)
    heads, present = model.network.decoder.pooled, model.settings.presence_threshold
    logits = rows.own if heads is None else rows.own + added_logits(heads, rows)
    probabilities = model.calibrate_presence(logits)
    part = (rows.group == rows.groups.index(group)) & (rows.there == 1)
    gates = [gate for gate in GATES if gate <= present and _passing(probabilities, rows, part, gate) >= found]
    chosen = max(gates, default=GATES[0])
    config = read_json(folder / "config.json")
    config["settings"]["presence_threshold"] = chosen
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return chosen


def _passing(probabilities: Tensor, rows: PresenceRows, part: Tensor, gate: float) -> float:
    """Return the weighted part of the rows whose presence reaches the gate; 0 of none."""
    sure = rows.sure[part]
    return float((sure * (probabilities[part] >= gate)).sum() / sure.sum().clamp(min=1e-9))
