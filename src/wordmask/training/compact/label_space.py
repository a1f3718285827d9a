"""Label spaces: the names that the label maps of one or more data sets share, as tables for batched look-ups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.sampling.left_right import swap_left_right

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

UNKNOWN = 255
"""The label of a pixel of which nothing is known."""
MOST_LABELS = 254
"""Label values fit 8 bits: 0 is none of the names, 255 unknown."""
OTHER, COVERED, UNCLEAR = 0, 1, 2
"""What a label value is to a name: something else, the name, or neither safely (a near synonym, a whole of a part)."""


@dataclass(frozen=True)
class LabelSpace:
    """Names with their label values.

    Attributes:
        name: of the space.
        labels: label value `v` means `labels[v - 1]`.
        unions: name -> labelled names it covers; `["*"]` = all of them.
        near_synonyms: groups of names that are no negatives of each other.
        extra: names without pixels (image tags, names known to be absent).
        paste_all: whether everything labelled is pasted together (a head), or one label (a dog).
    """

    name: str
    labels: tuple[str, ...]
    unions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    near_synonyms: Sequence[Sequence[str]] = ()
    extra: tuple[str, ...] = ()
    paste_all: bool = False

    def __post_init__(self) -> None:
        if len(self.labels) > MOST_LABELS:
            raise ValueError(f"the space {self.name} has {len(self.labels)} labels, more than {MOST_LABELS}")

    @property
    def names(self) -> list[str]:
        """Every name that an image of the space may be asked for: labels first, then unions, then the rest."""
        return list(dict.fromkeys([*self.labels, *self.unions, *self.extra]))

    def covered(self, name: str) -> list[int]:
        """Label values that a name covers."""
        parts = self.unions.get(name, ())
        if list(parts) == ["*"]:
            return list(range(1, len(self.labels) + 1))
        return [v for v, label in enumerate(self.labels, 1) if label == name or label in parts]

    def relations(self) -> NDArray[np.uint8]:
        """uint8 (names, 256): what each label value is to each name; the label 255 is unclear to all."""
        table = np.zeros((len(self.names), 256), np.uint8)
        for row, name in enumerate(self.names):
            near = {n for group in self.near_synonyms if name in group for n in group}
            table[row, [v for v, label in enumerate(self.labels, 1) if label in near]] = UNCLEAR
            table[row, self.covered(name)] = COVERED
        table[:, UNKNOWN] = UNCLEAR
        return table

    def mirrored_labels(self) -> NDArray[np.uint8]:
        """uint8 (256,): the label value of each label's mirrored name."""
        table = np.arange(256, dtype=np.uint8)
        for value, label in enumerate(self.labels, 1):
            other = swap_left_right(label)
            if other in self.labels:
                table[value] = self.labels.index(other) + 1
        return table

    def mirrored_names(self) -> NDArray[np.int64]:
        """int64 (names,): the row of each name's mirrored name."""
        names = self.names
        rows = {n: i for i, n in enumerate(names)}
        return np.array([rows.get(swap_left_right(n), i) for i, n in enumerate(names)], np.int64)
