"""Compute the linear layers of a float32 network in bfloat16, and leave everything between them in float32.

A detector whose coordinates are bfloat16 places boxes to within 1/256 of the image only. Here coordinates, norms,
softmax and residual sums stay float32; the matrix products, which take the time, are bfloat16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CastLinear", "CastModule", "cast_feed_forward", "cast_linears"]


class CastLinear(nn.Module):
    """A linear layer that computes in `dtype`.

    Args:
        linear: The layer whose weights are taken.
        dtype: Precision of the product.
        result: Type of the result; None is that of the input.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, *, result: torch.dtype | None = None) -> None:
        super().__init__()
        self.result = result
        self.weight = nn.Parameter(linear.weight.detach().to(dtype), requires_grad=False)
        given: Tensor | None = linear.bias
        self.bias = None if given is None else nn.Parameter(given.detach().to(dtype), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (..., D) -> (..., H)."""
        return F.linear(rows.to(self.weight.dtype), self.weight, self.bias).to(self.result or rows.dtype)


class CastModule(nn.Module):
    """A whole module that computes in `dtype`: tensors are cast on the way in, and to float32 on the way out.

    Args:
        module: The module; it is converted in place.
        dtype: Its precision.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = module.to(dtype)
        self.dtype = dtype

    def forward(self, *values: Any, **named: Any) -> Any:
        """Return what the module does, in float32."""
        given = [_cast(value, self.dtype) for value in values]
        output = self.module(*given, **{name: _cast(value, self.dtype) for name, value in named.items()})
        return _cast(output, torch.float32)


def cast_linears(model: nn.Module, dtype: torch.dtype, *, but: Iterable[str] = ()) -> int:
    """Replace the linear layers of a model in place; return how many.

    Args:
        model: A float32 model.
        dtype: Precision of the products.
        but: Parts of names of modules that stay as they are.
    """
    skipped = tuple(but)
    chosen = [
        (parent, name, child)
        for path, parent in model.named_modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and not any(part in f"{path}.{name}" for part in skipped)
    ]
    for parent, name, child in chosen:
        setattr(parent, name, CastLinear(child, dtype))
    return len(chosen)


def cast_feed_forward(model: nn.Module, dtype: torch.dtype) -> int:
    """Replace pairs of linear layers `fc1` and `fc2` with an activation between them; return how many pairs.

    What lies between them, the widest activations of a transformer, stays in `dtype`.

    Args:
        model: A float32 model.
        dtype: Precision of the products.
    """
    pairs = [module for module in model.modules() if hasattr(module, "fc1") and hasattr(module, "fc2")]
    for module in pairs:
        assert isinstance(module.fc1, nn.Linear)
        assert isinstance(module.fc2, nn.Linear)
        module.fc1 = CastLinear(module.fc1, dtype, result=dtype)
        module.fc2 = CastLinear(module.fc2, dtype, result=torch.float32)
    return len(pairs)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Cast the floating-point tensors of a tree of lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        for key in list(value):
            value[key] = _cast(value[key], dtype)
        return value
    if isinstance(value, list | tuple):
        return type(value)(_cast(part, dtype) for part in value)
    return value
