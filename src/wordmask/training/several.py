"""Several data sets that are trained on together: opened by the same rules, with one name and one fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.training.opening import open_training_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wordmask.training.data import DataChoice
    from wordmask.training.opening import Opened

__all__ = ["distinct_names", "joint_fingerprint", "open_several"]


def open_several(
    choice: DataChoice, further: Iterable[str], *, validate: bool, holdout: float, limit: int, seed: int, skip_bad: bool
) -> list[Opened]:
    """Open the data that the user named and further sets; validation is on the first.

    Args:
        choice: The first set, and how all are read.
        further: Where the others are, in any shape that `DataChoice.path` takes.
        validate: Whether samples for validation are wanted.
        holdout: Part of the first set that is held out for it where there are no others; nothing of the further ones.
        limit: Most samples that a validation takes.
        seed: Of the choice of those that are held out.
        skip_bad: Whether what is wrong is left out; otherwise it is an error.

    Raises:
        DataError: If something is wrong, or nothing is left of one.
    """
    others = [replace(choice, path=Path(path), dataset=None, images=None, valid=None) for path in further]
    return [
        open_training_data(
            one, validate=validate and not place, holdout=holdout if not place else 0.0, limit=limit, seed=seed,
            skip_bad=skip_bad,
        )
        for place, one in enumerate([choice, *others])
    ]  # fmt: skip


def distinct_names(opened: Sequence[Opened]) -> list[str]:
    """Return the names of sets, with their places where two are called the same."""
    names = [one.train.dataset.name for one in opened]
    return [name if names.count(name) == 1 else f"{name} {place}" for place, name in enumerate(names, start=1)]


def joint_fingerprint(opened: Sequence[Opened]) -> str:
    """Return the fingerprint of sets together: that of the set where there is one."""
    fingerprints = [one.train.dataset.fingerprint for one in opened]
    if len(fingerprints) == 1:
        return fingerprints[0]
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:16]
