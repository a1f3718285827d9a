"""Records of the task "masks" as columns of numbers, one row a prompt."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluation.score.counting import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Rows"]


@dataclass(frozen=True, eq=False)
class Rows:
    """One row per prompt that has a pixel that is not ignored.

    Attributes:
        images: Number of samples, those without a prompt included.
        image: int64 `(R,)`, index of the sample.
        labels: `(R,)` names.
        absent: bool `(R,)`: known not to be in the image.
        detected: bool `(R,)`: the model's presence reaches its threshold.
        presence: float64 `(R,)`.
        counts: int64 `(R, 10)`, see `COUNTED`.
        histograms: int64 `(R, 2, 50)`, see `wordmask.metrics.thresholds.histogram`; None without a sweep.
        mirror: int64 `(M, 6)` and the rows that they belong to, int64 `(M,)`.
    """

    images: int
    image: NDArray[np.int64]
    labels: NDArray[Any]
    absent: NDArray[np.bool_]
    detected: NDArray[np.bool_]
    presence: NDArray[np.float64]
    counts: NDArray[np.int64]
    histograms: NDArray[np.int64] | None
    mirror: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, records: Iterable[dict[str, Any]]) -> Rows:
        """Read the records of all samples, in order."""
        columns = {name: array("q") for name in ("image", "flags", "counts", "histogram", "mirror", "mirrored")}
        presence, labels, images = array("d"), list[str](), 0
        for images, record in enumerate(records, start=1):
            for row in record["rows"]:
                if not sum(row["counts"][2:6]):
                    continue
                if row.get("mirror"):
                    columns["mirror"].extend(row["mirror"])
                    columns["mirrored"].append(len(labels))
                labels.append(row["label"])
                presence.append(row["presence"])
                columns["image"].append(images - 1)
                columns["flags"].extend((row["absent"], row["detected"]))
                columns["counts"].extend(row["counts"])
                for part in row.get("histogram", ()):
                    columns["histogram"].extend(part)
        arrays = {name: np.array(values, dtype=np.int64) for name, values in columns.items()}
        flags = arrays["flags"].reshape(-1, 2).astype(np.bool_)
        return cls(
            images,
            arrays["image"],
            np.array(labels, dtype=np.str_),
            flags[:, 0],
            flags[:, 1],
            np.array(presence, dtype=np.float64),
            arrays["counts"].reshape(-1, len(COUNTED)),
            arrays["histogram"].reshape(-1, 2, 50) if len(arrays["histogram"]) else None,
            (arrays["mirror"].reshape(-1, 6), arrays["mirrored"]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> NDArray[np.int64]:
        """Return one of `COUNTED`, int64 `(R,)`."""
        return self.counts[:, COUNTED.index(name)]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """TP, FP, FN, TN, int64 `(R, 4)`."""
        return self.counts[:, 2:6]

    @property
    def overlaps(self) -> NDArray[np.int64]:
        """Intersection and union, int64 `(R, 2)`."""
        return np.stack([self.counts[:, 2], self.counts[:, 2:5].sum(axis=1)], axis=1)

    @property
    def masked(self) -> NDArray[np.bool_]:
        """Whether the prediction has a pixel that is not ignored, bool `(R,)`."""
        return np.asarray(self.column("tp") + self.column("fp") > 0)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Whether a pixel that is not ignored belongs to the ground truth, bool `(R,)`."""
        return np.asarray(self.column("tp") + self.column("fn") > 0)
