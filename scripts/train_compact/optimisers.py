"""Muon for matrices and convolutions, AdamW for everything else, behind one small door.

Muon (K. Jordan et al., 2024; Liu et al., arXiv 2502.16982) makes the update of a matrix nearly orthogonal, so that no
direction of it learns much faster than another. Its steps are scaled to the size of AdamW's, so both take a like rate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DECAY = 0.05
THIN = 16
"""Matrices with a side below this stay with AdamW: there is little to make orthogonal."""


def flat(weight: Tensor) -> Tensor:
    """A weight as the matrix (outputs, everything else) that shares its memory.

    Raises:
        ValueError: a convolution whose weights are not laid out channels last.
    """
    weight = weight.detach()
    matrix = weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    if matrix.data_ptr() != weight.data_ptr():
        raise ValueError(f"a weight of shape {tuple(weight.shape)} is not channels last: move the network there first")
    return matrix


class Optimisers:
    """The optimisers of a network whose weights are channels last.

    Args:
        weights: name -> weight.
        rate: AdamW's rate.
        muon: Muon's rate; 0 leaves all weights to AdamW.
    """

    def __init__(self, weights: dict[str, nn.Parameter], *, rate: float, muon: float) -> None:
        self.rates = {"adamw": rate, "muon": muon}
        chosen = {k for k, p in weights.items() if muon and _is_matrix(k, p)}
        rest = [p for k, p in weights.items() if k not in chosen]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": DECAY},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.parts: dict[str, torch.optim.Optimizer] = {
            "adamw": torch.optim.AdamW(groups, rate, betas=(0.9, 0.99), fused=True)
        }
        self.names = sorted(chosen)
        self.matrices = [(weights[k], nn.Parameter(flat(weights[k]))) for k in self.names]
        if self.matrices:
            self.parts["muon"] = torch.optim.Muon(
                [m for _, m in self.matrices], lr=muon, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
            )

    def step(self, share: float) -> None:
        """Update all weights by their gradients, at a share of the full rates, and forget the gradients."""
        for weight, matrix in self.matrices:
            matrix.grad = None if weight.grad is None else _gradient(weight.grad)
        for name, part in self.parts.items():
            for group in part.param_groups:
                group["lr"] = self.rates[name] * share
            part.step()
        self.forget()

    def forget(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)
        for weight, _ in self.matrices:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"matrices": self.names} | {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Go on as stored.

        Raises:
            ValueError: what is stored belongs to other optimisers, or to other weights.
        """
        if stored.get("matrices") != self.names:
            raise ValueError(
                "the checkpoint was trained with other optimisers: "
                "pass the same --muon, or begin anew with --start and another --out"
            )
        for name, part in self.parts.items():
            part.load_state_dict(stored[name])


def _is_matrix(name: str, weight: Tensor) -> bool:
    return weight.ndim > 1 and min(len(weight), weight[0].numel()) >= THIN and not name.startswith("encoder.stem")


def _gradient(gradient: Tensor) -> Tensor:
    return gradient if gradient.ndim == 2 else gradient.permute(0, 2, 3, 1).reshape(len(gradient), -1)
