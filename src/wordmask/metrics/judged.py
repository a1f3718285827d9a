"""What every pairwise metric is given: one answer beside one truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Judged:
    """One answer to one prompt, beside the truth, at the size at which they are compared.

    Attributes:
        mask: bool `(H, W)`, the answer.
        truth: bool `(H, W)`; nothing set where the thing is absent.
        label: What scores are grouped by: a class name.
        key: Name of this judgement, different for every one of a run.
        probability: float32 `(H, W)` in [0, 1]; None where the method gives none.
        ignored: bool `(H, W)`, pixels that count neither for nor against; None = none.
        presence: Probability in [0, 1] that the thing is there; None where the method gives none.

    Raises:
        DataError: If the arrays do not have one shape and the right types, or presence is no probability.
    """

    mask: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    label: str
    key: str
    probability: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None
    presence: float | None = None

    def __post_init__(self) -> None:
        where = f"for {quote(self.key)}"
        size = np.shape(self.truth)
        _require("truth", self.truth, np.bool_, size, where)
        _require("mask", self.mask, np.bool_, size, where)
        if self.ignored is not None:
            _require("ignored", self.ignored, np.bool_, size, where)
        if self.probability is not None:
            _require("probability", self.probability, np.float32, size, where)
        if self.presence is not None and not 0.0 <= self.presence <= 1.0:
            got = f"presence {self.presence} {where}"
            raise DataError(sentence(got, "a probability in [0, 1]", "pass the sigmoid of the logit"))

    @property
    def pixels(self) -> int:
        """Number of pixels that count."""
        return self.truth.size - (0 if self.ignored is None else int(np.count_nonzero(self.ignored)))

    @property
    def there(self) -> bool:
        """Whether any pixel that counts belongs to the truth."""
        return bool((self.truth if self.ignored is None else self.truth & ~self.ignored).any())


def _require(name: str, array: Any, kind: type[np.generic], size: tuple[int, ...], where: str) -> None:
    shape, found = np.shape(array), getattr(array, "dtype", type(array).__name__)
    if len(shape) == 2 and math.prod(shape) > 0 and shape == size and found == kind:
        return
    expected = f"{np.dtype(kind).name} {'(H, W)' if len(size) != 2 or name == 'truth' else size}, at least one pixel"
    raise DataError(sentence(f"{name} {found} {shape} {where}", expected, "resize or convert it to match the truth"))


def confusion_counts(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> tuple[int, int, int, int]:
    """Return TP, FP, FN and TN of bool `(H, W)` masks, in pixels."""
    if ignored is not None:
        keep = ~ignored
        mask, truth = mask & keep, truth & keep
    both, answered, true = (int(np.count_nonzero(array)) for array in (mask & truth, mask, truth))
    pixels = truth.size if ignored is None else int(np.count_nonzero(keep))
    return both, answered - both, true - both, pixels - answered - true + both


def overlap(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> tuple[int, int]:
    """Return the intersection and the union of bool `(H, W)` masks, in pixels."""
    both, false_alarms, missed, _ = confusion_counts(mask, truth, ignored)
    return both, both + false_alarms + missed
