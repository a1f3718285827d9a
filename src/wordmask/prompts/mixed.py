"""Prompts of a phrase and an example image together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

from wordmask.errors import PromptError, quote, sentence
from wordmask.prompts.text import TextPrompt
from wordmask.prompts.visual import VisualPrompt


@dataclass(frozen=True, eq=False)
class MixedPrompt:
    """A phrase and an example image of the same object; their embeddings are interpolated linearly.

    The embedding is `weight * text + (1 - weight) * visual`: 1 uses the phrase alone, 0 the example alone.

    Attributes:
        text: The phrase; a string becomes a `TextPrompt`. `phrase` is the same, typed as what it has become.
        visual: The example.
        weight: Weight of the text, 0 to 1.

    Raises:
        PromptError: If a part has the wrong type or the weight lies outside 0 to 1.
    """

    text: str | TextPrompt
    visual: VisualPrompt
    weight: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.text, TextPrompt):
            object.__setattr__(self, "text", TextPrompt(self.text))
        _check_visual(self.visual)
        object.__setattr__(self, "weight", _checked_weight(self.weight))

    @property
    def phrase(self) -> TextPrompt:
        """The phrase."""
        return cast("TextPrompt", self.text)

    @property
    def name(self) -> str:
        """Name of the result: the phrase."""
        return self.phrase.name


def _check_visual(visual: object) -> None:
    if not isinstance(visual, VisualPrompt):
        got = f"a visual part of type {type(visual).__name__}"
        raise PromptError(sentence(got, "a VisualPrompt", "wrap the example as VisualPrompt(image, mask)"))


def _checked_weight(weight: object) -> float:
    try:
        number = float(weight)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        got = f"the weight {quote(weight)}"
        raise PromptError(sentence(got, "the weight of the text, from 0 to 1", "pass for example weight=0.5"))
    return number
