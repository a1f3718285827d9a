"""Build networks whose weights are loaded afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["no_weights"]


class SkipInitialization(TorchFunctionMode):
    """Skip `torch.nn.init` and the in-place draws that it is made of.

    On the meta device they have nothing to fill, yet the first one costs 0.9 s: torch runs them there by Python
    references, which import `torch._dynamo`.
    """

    draws = frozenset({Tensor.normal_, Tensor.uniform_})

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.draws or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def no_weights() -> Iterator[None]:
    """Create parameters and buffers on the meta device and skip their initialisation.

    Networks built inside take neither memory nor random numbers; load weights with `load_state_dict(assign=True)`, or
    call `to_empty` first.
    """
    with torch.device("meta"), SkipInitialization():
        yield
