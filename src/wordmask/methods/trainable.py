"""A base for models of which some parts are trained while the others stay frozen."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from wordmask.components.everyday_words import draw_words
from wordmask.errors import TrainingError, quote, sentence
from wordmask.losses.distillation import distillation_losses
from wordmask.losses.masks import MASK_LOSSES, mask_losses, presence_loss
from wordmask.settings import Choices, Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wordmask.batch import Batch
    from wordmask.components.feature_cache import FeatureCache
    from wordmask.contracts import Segmenter

__all__ = ["DenseAnswer", "DenseTrainable", "PartsTrainable", "TrainedParts", "fingerprint_weights"]

PHRASES_KEPT = 50_000
"""Phrases whose embedding is kept while the text encoder is frozen (100 MB at 512 channels)."""


LARGEST_SIZE = 2048
"""Longest side of images in training, in pixels."""


@dataclass(frozen=True, kw_only=True)
class TrainedParts(Settings):
    """Settings of training some parts of a network with dense masks.

    Attributes:
        parts: Parts of the model that are trained; () = the method's own choice.
        norms: Whether batch norms keep their statistics (`"frozen"`) or follow the batches (`"trained"`).
        dropout: Dropout in the trained parts.
        cache_phrases: Whether a frozen text encoder embeds each phrase once only: for vocabularies, not for sentences.
        size: Side of the square training images in pixels; 0 = the model's.
        fit: How an image fills it: `"squash"`, `"square"` (a window with the image's proportions), or `"model"`: as the
            model does it.
        bce: Weight of the binary cross-entropy of masks.
        balanced_bce: Weight of that cross-entropy with both sides of a mask counting the same.
        dice: Weight of the Dice loss.
        presence: Weight of the loss of the presence head.
        distillation: Weight of the loss that keeps what the model answered before the training to everyday words that
            are not trained, asked of the same images; 0 = those answers may change freely.
        distilled_words: Such words an image.
    """

    parts: tuple[str, ...] = ()
    norms: str = "frozen"
    dropout: float = 0.0
    cache_phrases: bool = True
    size: int = 0
    fit: str = "model"
    bce: float = 1.0
    balanced_bce: float = 0.0
    dice: float = 0.0
    presence: float = 0.0
    distillation: float = 0.0
    distilled_words: int = 3

    ranges: ClassVar[Ranges] = {
        "dropout": (0, 0.9),
        "size": (0, LARGEST_SIZE),
        "distilled_words": (1, 64),
        **dict.fromkeys(("bce", "balanced_bce", "dice", "presence", "distillation"), (0, 10**4)),
    }
    choices: ClassVar[Choices] = {"norms": ("frozen", "trained"), "fit": ("model", "squash", "square")}


class DenseAnswer(NamedTuple):
    """What a network answers to a batch of P phrases.

    Attributes:
        logits: float `(P, h, w)` over the whole image.
        presence: float `(P,)` logits, or None where the network has no such head.
    """

    logits: Tensor
    presence: Tensor | None


class PartsTrainable(nn.Module):
    """The trained parts of a model, as one module; its frozen parts lie beside it.

    Only the trained parts are registered: what optimises, wraps and saves this module sees nothing else. `to` moves the
    frozen ones, too.

    Args:
        modules: Everything that has weights, by name.
        parts: Names of those that are trained.
        settings: Dropout and batch norms.
        size: Side of the square training images in pixels.
        square: Whether images keep their proportions on it; otherwise they are squashed.
        mean, std: RGB normalisation of pixels in [0, 1].

    Raises:
        TrainingError: If there is no such part.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], parts: tuple[str, ...], settings: TrainedParts, *, size: int,
        square: bool, mean: tuple[float, float, float], std: tuple[float, float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        unknown = [part for part in parts if part not in modules]
        if unknown or not parts:
            got = f"the part {quote(unknown[0])}" if unknown else "no part to train"
            raise TrainingError(sentence(got, f"some of {', '.join(modules)}", "correct the recipe's parts"))
        self.trained = nn.ModuleDict({name: module for name, module in modules.items() if name in parts})
        self._frozen = {name: module for name, module in modules.items() if name not in parts}
        self.settings, self.size, self.square, self.mean, self.std = settings, size, square, mean, std
        self._phrases: dict[str, Tensor] = {}
        self._teacher: tuple[Any, ...] = ()
        self._words: tuple[str, ...] = ()
        self.trained.requires_grad_(True)
        for module in self._frozen.values():
            module.requires_grad_(False).eval()
        _set_dropout(self.trained, settings.dropout)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the trained parts."""
        return tuple(self.trained)

    def train(self, mode: bool = True) -> PartsTrainable:
        """Set the trained parts' mode; frozen ones, and batch norms that are not trained, stay as in use."""
        super().train(mode)
        if self.settings.norms == "frozen":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        """Move the frozen parts with the trained ones."""
        for module in (*self._frozen.values(), *self._teacher):
            module._apply(fn, recurse)
        self._phrases.clear()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def frozen(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every weight and buffer that must not change, by name."""
        for part, module in sorted(self._frozen.items()):
            for name, tensor in module.state_dict().items():
                yield f"{part}.{name}", tensor

    def parameter_groups(self, schedule: Any = None) -> list[dict[str, Any]]:
        """Return all trained weights as one group: see `training.optim.ParameterGroup`."""
        return [{"params": list(self.named_parameters())}]

    def embedded(self, phrases: list[str], embed: Callable[[list[str]], Tensor]) -> Tensor:
        """Return embeddings `(P, C)` of phrases from a frozen encoder.

        Where the settings keep them, each is computed once and by itself: in a batch its last bits would depend on the
        others, and a resumed run would no longer be the same run.
        """
        with torch.no_grad():
            if not self.settings.cache_phrases:
                return embed(phrases).float()
            if len(self._phrases) > PHRASES_KEPT:
                self._phrases.clear()
            for phrase in phrases:
                if phrase not in self._phrases:
                    self._phrases[phrase] = embed([phrase])[0].float()
            return torch.stack([self._phrases[phrase] for phrase in phrases])

    def use_cache(self, cache: FeatureCache) -> None:
        """Keep what the frozen image encoder computes in a cache on disk, and read it from there.

        Raises:
            TrainingError: If there is no such encoder.
        """
        got = f"a feature cache for a model whose trained parts are {', '.join(self.parts)}"
        remedy = "leave --feature-cache out, or train CLIPSeg's decoder"
        raise TrainingError(sentence(got, "one with a frozen encoder in front of all that is trained", remedy))

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name."""
        raise NotImplementedError

    def segmenter(self) -> Segmenter:
        """Return the model as it is now, for validation; it shares the weights."""
        raise NotImplementedError

    def export(self, folder: Path) -> None:
        """Write the model as it is now into an empty folder that `wordmask.load` reads."""
        raise NotImplementedError


class DenseTrainable(PartsTrainable):
    """A network that answers each phrase with dense logits, trained by mask losses and presence.

    With `settings.distillation` a frozen copy of the model from before the training is a teacher: everyday words that
    are not trained (`distil_on`) are asked of the same images, and the answers stay near the teacher's (Learning
    without Forgetting, arXiv 1606.09282). The images are the user's alone.
    """

    similar_words: ClassVar[float | None] = None
    """Cosine of embeddings from which a word is taken for another one for a trained phrase; None: all words differ."""

    def forward(self, batch: Batch, encoded: Any = None) -> DenseAnswer:
        """Answer a batch; the graph holds the trained parts alone.

        Args:
            batch: Images and phrases.
            encoded: What `encode` returned for the images; None = they are encoded here.
        """
        raise NotImplementedError

    def encode(self, batch: Batch) -> Any:
        """Return what frozen parts compute of the images alone; None where no frozen part comes first."""
        raise NotImplementedError

    def embed_words(self, words: Sequence[str]) -> Tensor:
        """Return unit vectors `(P, C)` of words, as they are before the training."""
        raise NotImplementedError

    def distil_on(self, words: Sequence[str], *, trained: Iterable[str]) -> None:
        """Keep the answers to `words`, but for other words for `trained` phrases, as they are now.

        Called before the first step; without it, or with `settings.distillation` 0, there is no teacher.
        """
        if self.settings.distillation:
            self._words = tuple(self._unlike(words, sorted(set(trained))))
            shared = {id(module): module for module in self._frozen.values()}
            teacher: DenseTrainable = copy.deepcopy(self, shared)
            self._teacher = (teacher.requires_grad_(False).eval(),)  # in a tuple, hidden from torch

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name."""
        encoded = self.encode(batch) if self._words else None
        answer = self(batch, encoded)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            weights = {name: float(getattr(self.settings, name)) for name in MASK_LOSSES}
            losses = mask_losses(answer.logits, batch.masks, batch.known, weights)
            if self.settings.presence and answer.presence is not None and batch.presence is not None:
                known = torch.ones_like(batch.presence) if batch.presence_weights is None else batch.presence_weights
                losses["presence"] = self.settings.presence * presence_loss(answer.presence, batch.presence, known)
        return losses | (self._distillation(batch, encoded, step) if self._words else {})

    def _distillation(self, batch: Batch, encoded: Any, step: int) -> dict[str, Tensor]:
        """Weighted losses between the answers to everyday words and those of the teacher."""
        count = self.settings.distilled_words
        words = [word for key in batch.keys for word in draw_words(self._words, count, key=key, step=step)]
        asked = batch._replace(phrases=words, supports=None, text_weights=None)
        now = self(asked, encoded)
        with torch.no_grad():
            before = self._teacher[0](asked, encoded)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            losses = distillation_losses(now.logits, before.logits, now.presence, before.presence)
        return {name: self.settings.distillation * loss for name, loss in losses.items()}

    def _unlike(self, words: Sequence[str], trained: Sequence[str]) -> list[str]:
        """The words that mean something else than every trained phrase."""
        if self.similar_words is None or not words or not trained:
            return list(words)
        with torch.no_grad():
            likeness = (self.embed_words(words).float() @ self.embed_words(trained).float().T).amax(1)
        return [word for word, value in zip(words, likeness.tolist(), strict=True) if value < self.similar_words]


def fingerprint_weights(weights: Iterable[tuple[str, Tensor]]) -> str:
    """Return a hash over the names and every bit of weights, in the order given."""
    digest = hashlib.sha256()
    for name, tensor in weights:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _set_dropout(module: nn.Module, probability: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = probability
        elif isinstance(getattr(part, "dropout", None), float):
            part.dropout = probability  # type: ignore[assignment]
