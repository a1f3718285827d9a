"""How the learning rate and the size of the images change over the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from wordmask.errors import DataError, quote, sentence
from wordmask.settings import Choices, Ranges, Settings

__all__ = ["Schedule", "lr_scale", "size_at"]

LARGEST_BATCH = 4096
"""Images of one update."""
LARGEST_SIZE = 2048
"""Longest side of training images, in pixels."""
MOST_WORKERS = 256
"""Processes that prepare batches."""
_MOST = 10**9


@dataclass(frozen=True, kw_only=True)
class Schedule(Settings):
    """How a model is optimised, whatever the method and the data.

    Attributes:
        steps: Updates of the weights.
        batch: Images of one update, over all processes and parts.
        accumulate: Parts that a batch is computed in.
        lr: Highest learning rate.
        final_lr: Learning rate at the end.
        warm_up: Steps in which the learning rate rises from 0.
        lr_schedule: How the learning rate falls after the warm-up: `"cosine"`, `"constant"` (not at all) or `"linear"`.
        decay_from: Step from which a `"linear"` learning rate falls.
        weight_decay: Weight decay of AdamW and Muon.
        decay_biases: Whether biases, norms and other vectors decay, too.
        betas: Decay rates of AdamW's two averages of gradients.
        muon_lr: Highest learning rate of Muon, which then updates matrices and convolutions; 0 = AdamW alone.
        gradient_clipping: Greatest norm of the gradient over all weights; 0 = no clipping.
        nonfinite: What happens at a loss or gradient that is not finite: `"stop"` with an error, or `"skip"` the step.
        ema: Decay of the exponential moving average of the weights that is validated and written, such as 0.998; 0 =
            the weights themselves.
        start_weight: Weight, 0 to 0.95, of the weights that training started from in every model that is validated and
            written (WiSE-FT).
        sizes: Pairs of a step and the side, in pixels, of the images from that step on; () = the model's size.
        precision: Floating-point type of the training: `"no"` (float32), `"bf16"` or `"fp16"`.
        seed: Seed of every random draw.
        valid_every: Steps between validations; 0 = none.
        save_every: Steps between checkpoints.
        workers: Processes that read and augment images.
    """

    steps: int
    batch: int
    lr: float
    final_lr: float = 0.0
    accumulate: int = 1
    warm_up: int = 0
    lr_schedule: str = "cosine"
    decay_from: int = 0
    weight_decay: float = 0.01
    decay_biases: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    muon_lr: float = 0.0
    gradient_clipping: float = 0.0
    nonfinite: str = "stop"
    ema: float = 0.0
    start_weight: float = 0.0
    sizes: tuple[tuple[int, int], ...] = ()
    precision: str = "no"
    seed: int = 0
    valid_every: int = 0
    save_every: int = 100
    workers: int = 0

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("steps", "save_every"), (1, _MOST)),
        **dict.fromkeys(("batch", "accumulate"), (1, LARGEST_BATCH)),
        **dict.fromkeys(("warm_up", "decay_from", "seed", "valid_every"), (0, _MOST)),
        "workers": (0, MOST_WORKERS),
        **dict.fromkeys(("gradient_clipping", "weight_decay"), (0, _MOST)),
        **dict.fromkeys(("lr", "final_lr", "muon_lr"), (0, 10.0**4)),
        "ema": (0, 0.999999),
        "start_weight": (0, 0.95),
    }
    choices: ClassVar[Choices] = {
        "lr_schedule": ("cosine", "constant", "linear"),
        "precision": ("no", "bf16", "fp16"),
        "nonfinite": ("stop", "skip"),
    }

    def __post_init__(self) -> None:
        """Check the values, and that they fit together.

        Raises:
            DataError: If they do not.
        """
        super().__post_init__()
        if not all(0 <= start <= _MOST and 1 <= size <= LARGEST_SIZE for start, size in self.sizes):
            got, expected = f"sizes={quote(self.sizes)}", f"steps and sides from 1 to {LARGEST_SIZE} pixels"
            raise DataError(sentence(got, expected, "change sizes"))
        if self.batch % self.accumulate:
            got = f"a batch of {self.batch} in {self.accumulate} parts"
            raise DataError(sentence(got, "parts of equal size", "change batch or accumulate"))
        if self.muon_lr and self.precision == "fp16":
            raise DataError(sentence("muon_lr with precision=fp16", "precision bf16 or no", "change one of them"))


def lr_scale(step: int, schedule: Schedule) -> float:
    """Return the learning rate of a step, counted from 0, as a multiple of its highest value.

    It rises linearly over `warm_up` steps. Then, with `lr_schedule`:

    - "cosine": half a period from `lr` to `final_lr` over the other steps, as for CLIPSeg (arXiv 2112.10003, section
      4);
    - "constant": `lr` throughout;
    - "linear": `lr` until `decay_from`, then linearly to `final_lr` at the last step (warm-up, stable, decay: Hu et
      al., arXiv 2404.06395). A run can be continued with more steps from any checkpoint before the decay.
    """
    if step < schedule.warm_up:
        return (step + 1) / schedule.warm_up
    last = schedule.final_lr / schedule.lr if schedule.lr else 1.0
    if schedule.lr_schedule == "cosine":
        done = min((step - schedule.warm_up) / max(schedule.steps - schedule.warm_up, 1), 1.0)
        return last + (1 - last) * (1 + math.cos(math.pi * done)) / 2
    if schedule.lr_schedule == "linear" and step >= schedule.decay_from:
        left = max((schedule.steps - step) / max(schedule.steps - schedule.decay_from, 1), 0.0)
        return last + (1 - last) * left
    return 1.0


def size_at(step: int, schedule: Schedule) -> int:
    """Return the side of the training images, in pixels, at a step: that of the last entry of `sizes` not after it.

    0 = the size that the training set was made for.
    """
    sizes = [size for start, size in schedule.sizes if start <= step]
    return sizes[-1] if sizes else 0
