"""Trees of tensors as flat lists and a description in JSON, for the feature cache."""

from __future__ import annotations

import importlib
import json
import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UnknownTreeError", "flatten", "in_memory_order", "layout_of", "restore", "with_layout"]

_OURS = "wordmask."


class UnknownTreeError(TypeError):
    """A tree holds something besides tensors, numbers, texts, tuples, lists, dicts and named tuples of wordmask."""


def flatten(tree: Any) -> tuple[list[Tensor], str]:
    """Return the tensors of a tree and the text that `restore` needs.

    Raises:
        UnknownTreeError: If a part of it can be no entry of a file.
    """
    tensors: list[Tensor] = []
    return tensors, json.dumps(_described(tree, tensors))


def _described(tree: Any, tensors: list[Tensor]) -> Any:
    if isinstance(tree, Tensor):
        known = next((number for number, one in enumerate(tensors) if one is tree), None)
        tensors.extend([tree] if known is None else [])
        return {"tensor": len(tensors) - 1 if known is None else known}
    if tree is None or isinstance(tree, bool | int | float | str):
        return {"value": tree}
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        return {"dict": [[key, _described(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        kind = type(tree)
        if not kind.__module__.startswith(_OURS):
            raise UnknownTreeError(kind.__qualname__)
        parts = [_described(value, tensors) for value in tree]
        return {"named": f"{kind.__module__}:{kind.__qualname__}", "parts": parts}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [_described(value, tensors) for value in tree]}
    raise UnknownTreeError(type(tree).__qualname__)


def restore(tensors: Sequence[Tensor], text: str) -> Any:
    """Return the tree that `flatten` took apart.

    Raises:
        ValueError: If the text describes none.
    """
    return _restored(json.loads(text), tensors)


def _restored(about: Any, tensors: Sequence[Tensor]) -> Any:
    if not isinstance(about, dict):
        raise ValueError("no description of a tree")
    if "tensor" in about:
        return tensors[about["tensor"]]
    if "value" in about:
        return about["value"]
    if "dict" in about:
        return {key: _restored(value, tensors) for key, value in about["dict"]}
    if "named" in about:
        module, _, name = str(about["named"]).partition(":")
        if not module.startswith(_OURS):
            raise ValueError("a class that is not wordmask's")
        return getattr(importlib.import_module(module), name)(*(_restored(part, tensors) for part in about["parts"]))
    parts = [_restored(value, tensors) for value in about["tuple" if "tuple" in about else "list"]]
    return tuple(parts) if "tuple" in about else parts


def layout_of(tensor: Tensor) -> list[list[int]]:
    """Return shape and strides; those of a contiguous tensor where its own leave gaps or overlap.

    Kernels choose their path by strides, and so may the last bits of what they compute.
    """
    strides = tensor.stride() if _is_dense(tensor.shape, tensor.stride()) else _contiguous(tensor.shape)
    return [list(tensor.shape), list(strides)]


def in_memory_order(tensor: Tensor) -> Tensor:
    """Return the numbers (N,) in the order of `layout_of`."""
    if _is_dense(tensor.shape, tensor.stride()):
        return tensor.detach().as_strided((tensor.numel(),), (1,))
    return tensor.detach().reshape(-1)


def with_layout(numbers: Tensor, layout: Sequence[Sequence[int]]) -> Tensor:
    """Return numbers (N,) with the shape and the strides of `layout_of`.

    Raises:
        ValueError: If they do not fit.
    """
    shape, strides = layout
    if not _is_dense(shape, strides) or math.prod(shape) != numbers.numel():
        raise ValueError("a layout that does not fit the numbers")
    return numbers.as_strided(tuple(shape), tuple(strides))


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether every place in memory belongs to one element; strides along axes of one element do not matter."""
    if 0 in shape:
        return True
    expected = 1
    for stride, length in sorted((stride, length) for stride, length in zip(strides, shape, strict=True) if length > 1):
        if stride != expected:
            return False
        expected *= length
    return True


def _contiguous(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
