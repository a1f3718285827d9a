"""Candidates that are computed when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from wordmask.results.region import Candidate

__all__ = ["DeferredCandidates"]


class DeferredCandidates(Sequence["Candidate"]):
    """A sequence of candidates that equals the tuple that a function returns; it is called at the first access.

    Args:
        make: Returns the candidates.
    """

    def __init__(self, make: Callable[[], tuple[Candidate, ...]]) -> None:
        self._make: Callable[[], tuple[Candidate, ...]] | None = make

    @cached_property
    def _all(self) -> tuple[Candidate, ...]:
        assert self._make is not None
        made = self._make()
        self._make = None  # what it holds is no longer needed
        return made

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, index: int | slice) -> Candidate | tuple[Candidate, ...]:
        return self._all[index]

    def __eq__(self, other: object) -> bool:
        return self._all == (other._all if isinstance(other, DeferredCandidates) else other)

    def __hash__(self) -> int:
        return hash(self._all)

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all,)
