"""Changes to the presence head that was trained with the masks, and to folders that hold further ones."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from wordmask.checkpoints import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["raise_presence", "save_presence_head", "without_pooled_presence"]

HEAD = "decoder.presence."
BATCH = 96


def raise_presence(
    head: nn.Module, pooled: Tensor, before: Tensor, there: Tensor, raised: Tensor, *, logit: float, steps: int = 1500
) -> None:
    """Fine-tune a presence head to raise the logits of what is there on some images, and keep all others.

    For images whose labels are not exhaustive: absent names are uncertain there, the presence of what is there stays
    low, and a threshold chosen on other images would empty many masks.

    Args:
        head: Pooled inputs (N, K, channels) -> logits (N, K, 1); it is changed.
        pooled: Of N images with K prompts.
        before: float (N, K), logits of the head as it is.
        there: float (N, K), 1 for what is there.
        raised: bool (N,), images on which it is raised.
        logit: Towards which it is raised.
        steps: Of AdamW.
    """
    wanted = raised[:, None].expand_as(before)
    optimiser = torch.optim.AdamW(head.requires_grad_(True).parameters(), 5e-4, weight_decay=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        pick = torch.randint(len(before), (BATCH,), generator=generator)
        answer = head(pooled[pick])[..., 0]
        up = wanted[pick] & (there[pick] == 1)
        change = (answer - before[pick]).pow(2)
        loss = 4 * (change * ~wanted[pick]).mean() + 0.15 * (change * (wanted[pick] & ~up)).mean()
        loss = loss + 1.5 * (F.softplus(2 * (logit - answer)) * up).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def save_presence_head(folder: Path, head: nn.Module) -> None:
    """Write a presence head into a folder's weights, in float16."""
    weights = load_file(folder / "model.safetensors")
    weights |= {f"{HEAD}{name}": value.half().contiguous() for name, value in head.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def without_pooled_presence(folder: Path, out: Path) -> Path:
    """Copy a folder without the presence heads that are trained after the masks, and return the copy."""
    shutil.copytree(folder, out, dirs_exist_ok=True)
    weights, config = load_file(folder / "model.safetensors"), read_json(folder / "config.json")
    config["network"]["pooled_presence"] = 0
    save_file({k: v for k, v in weights.items() if ".pooled." not in k}, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return out
