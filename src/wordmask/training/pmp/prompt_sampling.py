"""Which prompts of an image the decoder is told in a training step.

With the same prompts in every step, keys and values of the text attention would be constants, and nothing would be
guided. So some steps tell it all names that are there, some only a few, some none, and some only names that are absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from wordmask.settings import Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["PromptSampling", "SampledPrompts", "sample_prompts"]


@dataclass(frozen=True, kw_only=True)
class PromptSampling(Settings):
    """Probabilities of the kinds of steps; what they leave is that of a few present names.

    Attributes:
        unguided: Probability that there is no prompt: the decoder is not guided, and everything is a target.
        full: Probability that all present names are prompts, with some absent ones; everything is a target.
        absent: Probability that all prompts are absent: there is no target.
        positives: Most present names where a few are told.
        negatives: Most absent names beside them.
    """

    unguided: float = 0.1
    full: float = 0.5
    absent: float = 0.05
    positives: int = 3
    negatives: int = 3

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("unguided", "full", "absent"), (0, 1)),
        "positives": (1, 1000),
        "negatives": (0, 1000),
    }


class SampledPrompts(NamedTuple):
    """The draw for an image.

    Attributes:
        prompts: Which of its phrases are told, in a random order; () = the decoder is not guided.
        targets: Which of its phrases are to be found: those told that are present; without prompts all that are.
    """

    prompts: tuple[int, ...]
    targets: tuple[int, ...]


def sample_prompts(
    present: Sequence[int], absent: Sequence[int], random: np.random.Generator, settings: PromptSampling
) -> SampledPrompts:
    """Draw the prompts of an image.

    Args:
        present: Its phrases that are there.
        absent: Its phrases that are known not to be.
        random: Where all is drawn from.
        settings: Probabilities.
    """
    drawn = float(random.random())
    if drawn < settings.unguided or not (present or absent):
        return SampledPrompts((), tuple(sorted(present)))
    drawn -= settings.unguided
    few_absent = _some(absent, int(random.integers(settings.negatives + 1)), random)
    if (drawn < settings.absent and absent) or not present:
        return SampledPrompts(_some(absent, max(1, len(few_absent)), random), ())
    drawn -= settings.absent
    if drawn < settings.full:
        told = tuple(present)
    else:
        told = _some(present, int(random.integers(1, min(len(present), settings.positives) + 1)), random)
    prompts = (*told, *few_absent)
    order = random.permutation(len(prompts)).tolist()
    return SampledPrompts(tuple(prompts[place] for place in order), tuple(sorted(told)))


def _some(items: Sequence[int], count: int, random: np.random.Generator) -> tuple[int, ...]:
    """Return `count` of the items, or all of them if there are fewer, in a random order."""
    return tuple(items[place] for place in random.permutation(len(items)).tolist()[:count])
