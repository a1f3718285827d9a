"""Recipes: functions that return a complete training configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import DataError, quote, sentence
from wordmask.training.recipes.compact import compact
from wordmask.training.recipes.finetune import finetune
from wordmask.training.recipes.imss import imss
from wordmask.training.recipes.imss_sam import imss_sam
from wordmask.training.recipes.phrasecut import phrasecut, phrasecut_plus
from wordmask.training.recipes.pmp import pmp
from wordmask.training.recipes.pmp_host import pmp_host, pmp_mask2former, pmp_maskformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.training.recipe import Recipe

__all__ = ["RECIPES", "find_recipe"]

RECIPES: dict[str, Callable[[], Recipe]] = {
    "finetune": finetune,
    "compact": compact,
    "pmp": pmp,
    "pmp-host": pmp_host,
    "pmp-mask2former": pmp_mask2former,
    "pmp-maskformer": pmp_maskformer,
    "imss-sam": imss_sam,
    "imss": imss,
    "phrasecut-plus": phrasecut_plus,
    "phrasecut": phrasecut,
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        DataError: If there is none.
    """
    if name not in RECIPES:
        raise DataError(sentence(f"the recipe {quote(name)}", f"one of {', '.join(RECIPES)}", "choose one of these"))
    return RECIPES[name]()
