"""Averages of weights: over the steps (exponential moving average, EMA), and with those of the start."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from wordmask.contracts import Trainable

__all__ = ["StartAverage", "WeightAverage"]


class WeightAverage:
    """The exponential moving average of the floating-point tensors in a model's `state_dict`.

    After update t, counted from 1: `average = keep * average + (1 - keep) * weights`, where
    `keep = min(decay, t / (t + 9))`. In this warm-up the random weights of the start soon weigh little: after t updates
    their part is the product of the first t factors: below 1e-4 from t = 7 on, with any long average.
    Integer tensors are copied.

    Args:
        model: Whose weights. The average starts as a copy of them.
        decay: Weight of the old average, below 1; 0 = no average, which costs nothing.
    """

    def __init__(self, model: Trainable, decay: float) -> None:
        self._model, self.decay, self.updates = model, decay, 0
        self._average = {name: tensor.detach().clone() for name, tensor in self._weights().items()} if decay else {}

    def update(self) -> None:
        """Follow the weights after a step."""
        if not self.decay:
            return
        self.updates += 1
        keep = min(self.decay, self.updates / (self.updates + 9))
        weights = {name: tensor.detach() for name, tensor in self._weights().items()}
        floats = [name for name, tensor in weights.items() if tensor.is_floating_point()]
        # one call for all tensors, as torch.optim.swa_utils does: on an accelerator each launch costs time
        torch._foreach_lerp_([self._average[name] for name in floats], [weights[name] for name in floats], 1 - keep)
        for name in weights.keys() - set(floats):
            self._average[name].copy_(weights[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights; afterwards it has its own again, to the bit."""
        if not self.decay:
            yield
            return
        weights = self._weights()
        own = {name: tensor.detach().clone() for name, tensor in weights.items()}
        try:
            _copy(self._average, weights)
            yield
        finally:
            _copy(own, weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates."""
        return {"average": dict(self._average), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            ValueError: If it belongs to another model or to other settings.
        """
        if state["average"].keys() != self._average.keys():
            raise ValueError("the average in the checkpoint has other tensors than the model")
        _copy(state["average"], self._average)
        self.updates = int(state["updates"])

    def _weights(self) -> dict[str, Tensor]:
        return dict(self._model.state_dict())


class StartAverage:
    """The mean of a model's weights with those that it had at the start (Wortsman et al., arXiv 2109.01903).

    With some of the first weights a fine-tuned model forgets less and learns less. Statistics of batch norms are mixed
    likewise, which is exact for frozen ones alone.

    Args:
        model: Whose weights; those that it has now are those of the start.
        weight: Weight of the start, 0 to 1; 0 = the weights as they are, which costs nothing.
    """

    def __init__(self, model: Trainable, weight: float) -> None:
        self._model, self._weight = model, weight
        self._first = {name: tensor.detach().clone() for name, tensor in self._weights().items()} if weight else {}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the mean; afterwards it has its own weights again, to the bit."""
        if not self._weight:
            yield
            return
        weights = self._weights()
        own = {name: tensor.detach().clone() for name, tensor in weights.items()}
        try:
            for name, tensor in weights.items():
                tensor.detach().lerp_(self._first[name].to(tensor), self._weight)
            yield
        finally:
            _copy(own, weights)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self._model.state_dict().items() if tensor.is_floating_point()}


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
