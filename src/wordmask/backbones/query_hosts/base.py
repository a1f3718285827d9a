"""What the adapters of query-based segmentation models share: outputs, and the insertion of a layer into a decoder.

A guide is inserted by forward hooks on the modules of transformers' decoder layers, so that the decoder's own code runs
and the names of its weights stay. A context variable says which guide is in force: calls in several threads do not see
each other's, and without one the hooks do nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "POSITIONS",
    "AfterModule",
    "BeforeDecoder",
    "BeforeLayer",
    "Guide",
    "QueryHost",
    "QueryOutputs",
    "guided_by",
    "repeated",
]

POSITIONS = ("pre", "post_sa", "post_ca", "post_ffn")
"""Where a decoder layer is guided: before it, after its self-attention, after its cross-attention, after it."""


class Guide(Protocol):
    """Changes the queries of a decoder, layer by layer."""

    def start(self, queries: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return initial queries and their positions, both `(B, Q, C)`; a guide may add queries."""
        ...

    def layer(self, index: int, queries: Tensor) -> Tensor:
        """Return the queries `(B, Q, C)` of a layer, from 0."""
        ...


class QueryOutputs(NamedTuple):
    """What a decoder predicts, one entry for each of its supervised outputs; the last is the result.

    Attributes:
        masks: float `(B, Q, h, w)`, mask logits.
        states: float `(B, Q, C)`, the queries that the heads read.
    """

    masks: tuple[Tensor, ...]
    states: tuple[Tensor, ...]


_GUIDE: ContextVar[Guide | None] = ContextVar("guide", default=None)


@contextmanager
def guided_by(guide: Guide | None) -> Iterator[None]:
    """Put a guide in force for the decoders that are called inside."""
    token = _GUIDE.set(guide)
    try:
        yield
    finally:
        _GUIDE.reset(token)


class AfterModule:
    """A forward hook that guides what a module returns: queries `(B, Q, C)`, or `(Q, B, C)` with `batch_second`.

    Args:
        index: Number of the decoder layer.
        batch_second: Whether the queries come before the batch.
        queries: Number of queries at the front of the tokens; None = all tokens are queries.
    """

    def __init__(self, index: int, *, batch_second: bool = False, queries: int | None = None) -> None:
        self.index, self.batch_second, self.queries = index, batch_second, queries

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        guide = _GUIDE.get()
        return None if guide is None else self.changed(guide, output)

    def changed(self, guide: Guide, tokens: Tensor) -> Tensor:
        """Return the tokens with their queries guided."""
        if self.batch_second:
            return guide.layer(self.index, tokens.transpose(0, 1)).transpose(0, 1)
        if self.queries is None:
            return guide.layer(self.index, tokens)
        return torch.cat([guide.layer(self.index, tokens[:, : self.queries]), tokens[:, self.queries :]], dim=1)


class BeforeLayer(AfterModule):
    """A forward pre-hook that guides the first argument of a layer."""

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any = None) -> Any:
        guide = _GUIDE.get()
        return None if guide is None else (self.changed(guide, inputs[0]), *inputs[1:])


class BeforeDecoder:
    """A forward pre-hook on a decoder that hands its initial queries and their positions to the guide.

    Args:
        queries, positions: Names of the decoder's keyword arguments.
        batch_second: Whether the queries come before the batch.
    """

    def __init__(self, queries: str, positions: str, *, batch_second: bool) -> None:
        self.queries, self.positions, self.batch_second = queries, positions, batch_second

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        guide = _GUIDE.get()
        if guide is None:
            return None
        pair = (options[self.queries], options[self.positions])
        if self.batch_second:
            first, second = (None if part is None else part.transpose(0, 1) for part in guide.start(*_turned(pair)))
        else:
            first, second = guide.start(*pair)
        return inputs, {**options, self.queries: first, self.positions: second}


def _turned(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return pair[0].transpose(0, 1), pair[1].transpose(0, 1)


class QueryHost(nn.Module, ABC):
    """A published model: pixels in, Q mask proposals out, with an optional guide in its decoder.

    The weights are those of `model` alone, under transformers' names.

    Args:
        model: transformers' model.
        position: One of `POSITIONS`; None = where the adapter's method says.

    Attributes:
        channels: Width C of the queries.
        guided: Number of decoder layers that are guided.
        queries: Number Q of queries.
        names: Names of the classes that the model was trained for.
        canvas: `(H, W)` of its only input size; None where any multiple of `stride` will do.
        stride: Both sides of the input are multiples of this.
    """

    default_position: ClassVar[str] = "post_sa"
    stride: ClassVar[int] = 32
    channels: int
    guided: int
    queries: int

    def __init__(self, model: Any, position: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.position = self.default_position if position is None else position
        if self.position not in POSITIONS:
            got = f"the position {quote(self.position)} of the text attention"
            raise CheckpointError(sentence(got, f"one of {', '.join(POSITIONS)}", "choose one of these"))
        labels = getattr(model.config, "id2label", None) or {}
        self.names = tuple(str(labels[index]) for index in sorted(labels))
        self.insert()

    @property
    def canvas(self) -> tuple[int, int] | None:
        """`(H, W)` of the only input size, or None."""
        return None

    @abstractmethod
    def insert(self) -> None:
        """Put the hooks into the decoder."""

    @abstractmethod
    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the features of normalised pixels `(B, 3, H, W)`, each `(B, ...)`: all that runs once per image."""

    @abstractmethod
    def decode(self, features: tuple[Tensor, ...], guide: Guide | None = None) -> QueryOutputs:
        """Return the proposals of encoded images."""

    def part_of(self, name: str) -> str:
        """Return the part that a weight or module of the model belongs to: guidance, decoder, pixels or backbone."""
        if name.startswith("pmp"):
            return "guidance"
        if "pixel_level_module" in name:
            return "backbone" if ".encoder" in name.partition("pixel_level_module")[2][:9] else "pixels"
        return "decoder"

    def pixel_map(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return the per-pixel embeddings `(B, C, h, w)` that masks are products with."""
        return features[0]

    def classify(self, states: Tensor) -> Tensor:
        """Return the logits `(B, Q, N + 1)` of the model's own N names and of "no object"."""
        logits: Tensor = self.model.class_predictor(states)
        return logits


def repeated(features: tuple[Tensor, ...], times: int) -> tuple[Tensor, ...]:
    """Return the features of one image `(1, ...)` for several prompts, as views `(times, ...)`."""
    return tuple(part.expand(times, *part.shape[1:]) for part in features)
