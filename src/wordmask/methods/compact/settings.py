"""Inference settings of a compact network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from wordmask.errors import quote

__all__ = ["STRIDE", "CompactSettings"]

STRIDE = 32
"""Canvases are multiples of the coarsest stride, in pixels."""
LONGEST_SIDE = 8192
LARGEST = 1e6
"""Largest number of any setting."""
SHARPEST = 1000
"""At this sharpness nearly all weight goes to the most similar cell."""

OPTIONAL = ("threshold", "affinity_sharpness", "weak_part_ratio", "label_threshold")
"""Settings that may be None."""


@dataclass(frozen=True)
class CompactSettings:
    """How a trained compact network is run, kept in `config.json` beside the weights.

    Attributes:
        long_side: Longer side of the canvas, in pixels.
        affinity_sharpness: Sharpness of the affinity with which masks are refined (`components.affinity`); None: no
            refinement.
        threshold: Probability from which a pixel belongs to the mask; None: for each mask, the one with the highest
            expected IoU.
        weak_part_ratio: Without a `threshold`, connected parts of a mask stay only if their highest probability
            reaches this fraction of the strongest part's (`components.weak_parts`); None: all stay.
        label_threshold: In label maps, where names share the pixels, product of presence and a pixel's probability that
            a name must exceed; 0.5: more probable than the background. None: masks as they are.
        mask_scale: Factor of mask logits, fitted on validation images (Platt scaling).
        mask_shift: Added after the factor.
        presence_scale: Factor of presence logits, fitted on validation images (Platt scaling).
        presence_shift: Added after the factor.
        presence_threshold: Calibrated probability below which the mask is empty.

    Raises:
        TypeError: A value is not a number.
        ValueError: A value is out of its range.
    """

    long_side: int = 352
    affinity_sharpness: float | None = None
    threshold: float | None = 0.5
    weak_part_ratio: float | None = None
    label_threshold: float | None = None
    mask_scale: float = 1.0
    mask_shift: float = 0.0
    presence_scale: float = 1.0
    presence_shift: float = 0.0
    presence_threshold: float = 0.3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is None and name in OPTIONAL:
                continue
            whole = name == "long_side"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise TypeError(f"{name} is {quote(value)}, not a{' whole' if whole else ''} number")
            if not whole and not -LARGEST <= value <= LARGEST:
                raise ValueError(f"{name} is {str(value)[:20]}, not a finite number of usual size")
            if name.endswith(("threshold", "ratio")) and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}, not in [0, 1]")
            if name.endswith("scale") and value <= 0:
                raise ValueError(f"{name} is {value}, not above 0")
            if name == "affinity_sharpness" and not 0 <= value <= SHARPEST:
                raise ValueError(f"{name} is {value}, not in 0 to {SHARPEST}")
        if not STRIDE <= self.long_side <= LONGEST_SIDE:
            raise ValueError(f"long_side is {self.long_side}, not {STRIDE} to {LONGEST_SIDE} px")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CompactSettings:
        """Make settings from the values of a JSON file; the former name of `affinity_sharpness` is understood."""
        renamed = {"agreement_sharpness": "affinity_sharpness"}
        return cls(**{renamed.get(name, name): value for name, value in values.items()})
