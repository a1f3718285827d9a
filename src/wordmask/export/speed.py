"""Times of an exported model and of the one that it was made from, in turns."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from wordmask.export.check import PHRASES
from wordmask.methods.exported import load_exported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wordmask.contracts import Segmenter
    from wordmask.images import RgbImage

__all__ = ["ROUNDS", "Speed", "speeds", "timed"]

ROUNDS = 9
"""How often a phrase is timed."""


@dataclass(frozen=True)
class Speed:
    """Time of one phrase about one image on this machine.

    Attributes:
        name: Of the model and its precision.
        ms, lowest, highest: Median and extremes of its milliseconds.
        same: How many times as fast as the eager model of the same precision: the median over turns.
        default: How many times as fast as the eager model as it is loaded by default.
    """

    name: str
    ms: float
    lowest: float
    highest: float
    same: float
    default: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {key: value if isinstance(value, str) else round(value, 2) for key, value in asdict(self).items()}


def speeds(eager: Any, usual: Any, folder: Path, image: RgbImage, *, kind: str, rounds: int = ROUNDS) -> list[Speed]:
    """Time a model and its export, in float32 (or int8) and as loaded by default.

    Args:
        eager: The model in float32.
        usual: The model as loaded by default.
        folder: The export.
        image: What is segmented.
        kind: Precision of the export where float32 is asked for.
        rounds: How often each is timed.
    """
    name = str(usual.dtype).removeprefix("torch.")
    first, last = "eager, float32", f"eager, {name}"
    models = {first: (eager, first), last: (usual, last)} if first != last else {first: (eager, first)}
    models[f"exported, {kind}"] = (load_exported(folder, dtype=torch.float32), first)
    if name != "float32" and (folder / "image.xml").is_file():  # ONNX Runtime ignores the precision
        models[f"exported, {name}"] = (load_exported(folder, dtype=usual.dtype), last)
    return timed(models, image, default=last, rounds=rounds)


def timed(models: Mapping[str, tuple[Segmenter, str]], image: RgbImage, *, default: str, rounds: int) -> list[Speed]:
    """Time one phrase about one image with several models in turns.

    Args:
        models: By name: a model, and the name of the eager one of the same precision.
        image: The image.
        default: The name of the eager model as it is loaded by default.
        rounds: How often each is timed, after a turn that does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name in list(models)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            models[name][0].segment(image, PHRASES[1])
            times[name] += [1000 * (time.perf_counter() - start)] if turn else []
    return [
        Speed(
            name, median(own), min(own), max(own),
            *(median(eager / one for eager, one in zip(times[key], own, strict=True)) for key in (same, default)),
        )
        for (name, own), (_, same) in zip(times.items(), models.values(), strict=True)
    ]  # fmt: skip
