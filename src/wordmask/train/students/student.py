"""What every model offers to the loop."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.errors import TrainingError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from wordmask.contracts import Segmenter
    from wordmask.ops.geometry import Size
    from wordmask.train.readouts import ReadoutStore
    from wordmask.train.recipes import Recipe
    from wordmask.train.views import Batch

PHRASES_KEPT = 50_000
"""Phrases whose condition is remembered while the text encoder is frozen (100 MB at 512 channels)."""


class Answer(NamedTuple):
    """What a network answers to a batch of N = B * K phrases.

    Attributes:
        logits: float `(N, h, w)` over the canvas.
        presence: float `(N,)` logits, or None where there is no such head.
    """

    logits: Tensor
    presence: Tensor | None


class Student(nn.Module):
    """The trained parts of a model, as one module; its frozen parts lie beside it.

    Only the trained parts are registered: what optimises, wraps and saves this module sees nothing else.

    Args:
        whole: Everything that has weights, by name.
        parts: Names of those that are trained.
        recipe: Dropout and batch norms.
        size: `(H, W)` of the canvas in training.
        square: Whether pictures keep their proportions on it.
        mean, std: RGB normalisation.

    Raises:
        TrainingError: If there is no such part.
    """

    def __init__(
        self, whole: Mapping[str, nn.Module], parts: tuple[str, ...], recipe: Recipe, *, size: Size, square: bool,
        mean: tuple[float, float, float], std: tuple[float, float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        unknown = [part for part in parts if part not in whole]
        if unknown or not parts:
            got = f"the part {quote(unknown[0])}" if unknown else "no part to train"
            raise TrainingError(sentence(got, f"some of {', '.join(whole)}", "correct the recipe's parts"))
        self.trained = nn.ModuleDict({name: module for name, module in whole.items() if name in parts})
        self._beside = {name: module for name, module in whole.items() if name not in parts}
        self.recipe, self.size, self.square, self.mean, self.std = recipe, size, square, mean, std
        self._phrases: dict[str, Tensor] = {}
        self._first = {k: v.detach().clone() for k, v in self._floating().items()} if recipe.start_share else {}
        self.trained.requires_grad_(True)
        for module in self._beside.values():
            module.requires_grad_(False).eval()
        _set_dropout(self.trained, recipe.dropout)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the trained parts."""
        return tuple(self.trained)

    def train(self, mode: bool = True) -> Student:
        """Set the trained parts' mode; frozen ones, and batch norms that are not trained, stay as in use."""
        super().train(mode)
        if self.recipe.norms == "frozen":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    @contextmanager
    def as_written(self) -> Iterator[None]:
        """Be the model that is measured and written: the trained parts hold the recipe's share of their first weights.

        Afterwards they are to the bit what they were.
        """
        if not self.recipe.start_share:
            yield
            return
        trained = {name: tensor.detach().clone() for name, tensor in self._floating().items()}
        try:
            for name, tensor in self._floating().items():
                tensor.detach().lerp_(self._first[name].to(tensor), self.recipe.start_share)
            yield
        finally:
            for name, tensor in self._floating().items():
                tensor.detach().copy_(trained[name])

    def _floating(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.trained.state_dict().items() if tensor.is_floating_point()}

    def place(self, device: torch.device) -> None:
        """Bring the frozen parts to a device."""
        for module in self._beside.values():
            module.to(device)
        self._phrases.clear()

    def frozen(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every weight and buffer that must not change, by name."""
        for part, module in sorted(self._beside.items()):
            for name, tensor in module.state_dict().items():
                yield f"{part}.{name}", tensor

    def fingerprint_frozen(self) -> str:
        """Return a hash over every bit of the frozen parts."""
        return fingerprint_weights(self.frozen())

    def embedded(self, phrases: list[str], embed: Callable[[list[str]], Tensor]) -> Tensor:
        """Conditions `(P, C)` of phrases from a frozen encoder.

        Where the recipe remembers them, each is computed once and by itself: in a batch its last bits would depend on
        the others, and a run that was taken up again would no longer be the same run.
        """
        with torch.no_grad():
            if not self.recipe.remember:
                return embed(phrases).float()
            if len(self._phrases) > PHRASES_KEPT:
                self._phrases.clear()
            for phrase in phrases:
                if phrase not in self._phrases:
                    self._phrases[phrase] = embed([phrase])[0].float()
            return torch.stack([self._phrases[phrase] for phrase in phrases])

    def forward(self, batch: Batch) -> Answer:
        """Answer a batch; the graph holds the trained parts alone."""
        raise NotImplementedError

    def use_store(self, store: ReadoutStore) -> None:
        """Keep what the frozen tower makes of views in a store, and take it from there.

        Raises:
            TrainingError: If there is no such tower.
        """
        got = f"readouts=stored for a model whose trained parts are {', '.join(self.parts)}"
        remedy = "leave --store out, or train CLIPSeg's decoder"
        raise TrainingError(sentence(got, "one with a frozen tower in front of all that is trained", remedy))

    def segmenter(self) -> Segmenter:
        """Return the model as it is now, for validation; it shares the weights."""
        raise NotImplementedError

    def export(self, folder: Path) -> None:
        """Write the model as it is now into an empty folder that `wordmask.load` reads."""
        raise NotImplementedError


def fingerprint_weights(weights: Iterable[tuple[str, Tensor]]) -> str:
    """Return a hash over the names and every bit of weights, in the order given."""
    digest = hashlib.sha256()
    for name, tensor in weights:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
        elif isinstance(getattr(part, "dropout", None), float):
            part.dropout = share  # type: ignore[assignment]
