"""How the learning rate runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordmask.train.recipes import Recipe


def rate_at(step: int, recipe: Recipe) -> float:
    """Return the learning rate of an update, counted from 0.

    The cosine is that of CLIPSeg (arXiv 2112.10003, section 4): half a period from `rate` to `final_rate` over all
    steps; a warm-up takes its share from the start.
    """
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    if recipe.schedule == "constant":
        return recipe.rate
    done = min((step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1), 1.0)
    return recipe.final_rate + (recipe.rate - recipe.final_rate) * (1 + math.cos(math.pi * done)) / 2
