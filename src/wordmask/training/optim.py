"""Optimisers: AdamW, and Muon for matrices where a recipe asks for it.

Muon (K. Jordan et al., 2024; Liu et al., arXiv 2502.16982) makes the update of a matrix nearly orthogonal, so that no
direction of it learns much faster than another. Its steps are scaled to the size of AdamW's (`match_rms_adamw`), so
that both take similar learning rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wordmask.errors import TrainingError, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wordmask.training.schedule import Schedule

__all__ = ["Optimiser", "build_optimiser", "flat_matrix", "is_matrix", "set_lr"]

THIN = 16
"""Matrices with a side below this stay with AdamW: there is little to make orthogonal."""

ParameterGroup = dict[str, Any]
"""What `Trainable.parameter_groups` returns a list of. Keys:

- `params`: parameters, or pairs of name and parameter;
- `lr_scale`: multiple of the recipe's learning rate, 1 if left out;
- `weight_decay`: instead of the recipe's;
- `muon`: False keeps the group with AdamW; left out or True, its matrices go to Muon if the recipe uses it.
"""


def build_optimiser(groups: Sequence[ParameterGroup], schedule: Schedule) -> Optimiser:
    """Return the optimiser of a recipe.

    Args:
        groups: See `ParameterGroup`.
        schedule: `lr`, `muon_lr` (0 = AdamW alone), `betas`, `weight_decay`, and whether biases and norms decay.

    Raises:
        TrainingError: If there is nothing to train.
    """
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for group in groups:
        weights = [entry[1] if isinstance(entry, tuple) else entry for entry in group["params"]]
        weights = [weight for weight in weights if weight.requires_grad]
        use_muon = schedule.muon_lr > 0 and group.get("muon", True)
        matrices = [weight for weight in weights if use_muon and is_matrix(weight)]
        chosen = set(map(id, matrices))
        rest = [weight for weight in weights if id(weight) not in chosen]
        decay, scale = float(group.get("weight_decay", schedule.weight_decay)), float(group.get("lr_scale", 1.0))
        muon.append({"params": matrices, "weight_decay": decay, "peak_lr": schedule.muon_lr * scale})
        for part, its_decay in _by_decay(rest, decay, everything=schedule.decay_biases):
            adamw.append({"params": part, "weight_decay": its_decay, "peak_lr": schedule.lr * scale})
    adamw, muon = ([group for group in kind if group["params"]] for kind in (adamw, muon))
    if not adamw and not muon:
        raise TrainingError(sentence("no weight to train", "at least one", "correct the recipe's parts"))
    return Optimiser(adamw, muon, betas=schedule.betas)


def _by_decay(
    weights: Iterable[nn.Parameter], decay: float, *, everything: bool
) -> list[tuple[list[nn.Parameter], float]]:
    """Split weights into those that decay and those that do not: biases, norms and other vectors."""
    weights = list(weights)
    if everything:
        return [(weights, decay)]
    return [([w for w in weights if w.ndim > 1], decay), ([w for w in weights if w.ndim <= 1], 0.0)]


def is_matrix(weight: Tensor) -> bool:
    """Return whether Muon may update a weight: a matrix or a convolution whose sides, as a matrix, are not thin."""
    return weight.ndim in (2, 4) and min(len(weight), weight[0].numel()) >= THIN


def flat_matrix(weight: Tensor) -> Tensor:
    """Return a weight as the matrix (outputs, everything else) that shares its memory, in either layout.

    Raises:
        TrainingError: If the weight is not laid out densely, as a slice of another one.
    """
    weight = weight.detach()
    matrix = _flat(weight, like=weight)
    if matrix.data_ptr() != weight.data_ptr():
        got = f"a weight of shape {tuple(weight.shape)} with strides {weight.stride()}"
        raise TrainingError(sentence(got, "a contiguous or channels-last one for Muon", "make it contiguous"))
    return matrix


def _flat(tensor: Tensor, *, like: Tensor) -> Tensor:
    """Flatten a tensor in the order in which a weight of the same shape lies in memory."""
    if tensor.ndim == 2:
        return tensor
    ordered = tensor if like.is_contiguous() else tensor.permute(0, 2, 3, 1)
    return ordered.reshape(len(tensor), -1)


class Optimiser(torch.optim.Optimizer):
    """AdamW and Muon (torch's own) as one optimiser, so that schedules and checkpoints see one.

    Args:
        adamw: Parameter groups of torch, each with `peak_lr`, the highest learning rate.
        muon: The same; matrices and convolutions.
        betas: Of AdamW.
    """

    def __init__(
        self, adamw: list[dict[str, Any]], muon: list[dict[str, Any]], *, betas: tuple[float, float]
    ) -> None:  # fmt: skip
        self.parts: list[torch.optim.Optimizer] = []
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        super().__init__([{"params": group["params"]} for group in (*adamw, *muon)], {})
        if adamw:
            self.parts.append(torch.optim.AdamW(adamw, lr=0.0, betas=betas))
        if muon:
            self.parts.append(_muon([group | {"params": self._flattened(group["params"])} for group in muon]))
        self._link()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all weights by their gradients."""
        assert closure is None
        for weight, matrix in self._matrices:
            matrix.grad = None if weight.grad is None else _flat(weight.grad, like=weight)
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)
        for weight, _ in self._matrices:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            TrainingError: If it belongs to other optimisers.
        """
        states = state_dict["parts"]
        if len(states) != len(self.parts):
            got = f"a checkpoint of {len(states)} optimisers for {len(self.parts)}"
            raise TrainingError(sentence(got, "the same muon_lr", "start a new run"))
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
        self._link()

    def _link(self) -> None:
        """Show the parts' groups and states as this optimiser's own: loading a state replaces them."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def _flattened(self, weights: list[nn.Parameter]) -> list[nn.Parameter]:
        pairs = [(weight, nn.Parameter(flat_matrix(weight))) for weight in weights]
        self._matrices += pairs
        return [matrix for _, matrix in pairs]


def _muon(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Torch's Muon.

    Raises:
        TrainingError: If this torch has none.
    """
    if not hasattr(torch.optim, "Muon"):
        got = f"muon_lr with torch {torch.__version__}"
        raise TrainingError(sentence(got, "torch 2.9 or newer, which has Muon", "upgrade torch, or set muon_lr=0"))
    return torch.optim.Muon(groups, lr=0.0, adjust_lr_fn="match_rms_adamw")


def set_lr(optimiser: Any, scale: float) -> None:
    """Set every group's learning rate to a multiple of its highest one, as `schedule.lr_scale` returns it."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * scale
