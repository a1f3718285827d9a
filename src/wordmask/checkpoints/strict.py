"""Strict loading of weights: every name, every shape, every value is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

__all__ = ["load_exactly", "not_finite", "not_floating"]

_NAMED = 3
"""How many offending names an error message lists."""


def load_exactly(
    module: nn.Module, weights: Mapping[str, Tensor], *, source: str, unused: re.Pattern[str] | None = None
) -> None:
    """Load weights as float32 into a module; tensors that are float32 already are not copied.

    Args:
        module: The network to be filled, on the CPU or on the meta device.
        weights: All of its parameters and buffers, by name.
        source: What messages call the weights.
        unused: Names that a file may carry although the network has no such weights.

    Raises:
        CheckpointError: If names are missing, left over, of the wrong shape or no floating-point numbers, or weights
            are not finite; the message names a few.
    """
    own = module.state_dict()
    given = {name: t for name, t in weights.items() if name in own or not (unused and unused.match(name))}
    whole = [name for name in given if name in own and not_floating(given[name], own[name])]
    uneven = [name for name in given if name in own and given[name].shape != own[name].shape]
    problems = [
        *_listed("missing", [name for name in own if name not in given]),
        *_listed("unknown", [name for name in given if name not in own]),
        *_listed("non-floating", [f"{name} {given[name].dtype}" for name in whole]),
        *_listed("misshapen", [f"{n} {tuple(given[n].shape)} for {tuple(own[n].shape)}" for n in uneven]),
    ]
    if problems:
        remedy = "use the config.json that belongs to these weights, or fetch or convert the checkpoint again"
        raise CheckpointError(sentence(f"{quote(source)} with {'; '.join(problems)}", "exactly the network's", remedy))
    single = {name: tensor.float() for name, tensor in given.items()}
    if broken := _listed("non-finite", not_finite(single.items())):
        got = f"{quote(source)} with {broken[0]}"
        raise CheckpointError(sentence(got, "numbers alone, no nan or inf", "fetch or convert the checkpoint again"))
    module.load_state_dict(single, assign=True)


def not_floating(given: Tensor, own: Tensor) -> bool:
    """Whether a network's floating-point weight is given as something else: whole, complex or quantised numbers."""
    return own.is_floating_point() and not given.is_floating_point()


def not_finite(weights: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Return the names of tensors that hold nan or inf."""
    return [name for name, tensor in weights if tensor.numel() and not _finite(tensor)]


def _finite(tensor: Tensor) -> bool:
    lowest, highest = tensor.aminmax()  # nan passes through; a fifth of the time of isfinite().all()
    return bool(lowest.isfinite() and highest.isfinite())


def _listed(what: str, names: list[str]) -> list[str]:
    """One phrase such as "2 missing weights (a, b)", or nothing."""
    if not names:
        return []
    shown = ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return [f"{len(names)} {what} weight{'s' if len(names) > 1 else ''} ({shown})"]
