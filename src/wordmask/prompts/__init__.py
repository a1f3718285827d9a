"""Prompts: phrases, example images, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from wordmask.errors import PromptError, sentence
from wordmask.prompts.mixed import MixedPrompt
from wordmask.prompts.phrases import fold_phrase
from wordmask.prompts.text import TextPrompt
from wordmask.prompts.visual import VisualPrompt

__all__ = [
    "MixedPrompt",
    "Prompt",
    "PromptInput",
    "TextPrompt",
    "VisualPrompt",
    "as_prompts",
    "distinct_prompts",
    "fold_phrase",
]

Prompt: TypeAlias = TextPrompt | VisualPrompt | MixedPrompt
PromptInput: TypeAlias = "str | Prompt | Sequence[str | Prompt]"


def as_prompts(prompts: PromptInput) -> tuple[Prompt, ...]:
    """Return one prompt or a sequence of them as a tuple of prompt objects, in order, duplicates kept.

    Raises:
        PromptError: If there is none, or one of them is blank, too long or neither a string nor a prompt.
    """
    items = (prompts,) if isinstance(prompts, str | Prompt) else _items(prompts)
    if not items:
        raise PromptError(sentence("no prompt", "at least one phrase", "name what to segment, such as 'left eye'"))
    return tuple(_as_prompt(item) for item in items)


def distinct_prompts(prompts: Sequence[Prompt]) -> tuple[tuple[Prompt, ...], tuple[int, ...]]:
    """Return the prompts without repetition, and for each prompt its place among them.

    Phrases that differ in case, blanks and marks alone are the same; the first of them stays. Visual and mixed prompts
    are the same if they are one object.
    """
    keys = [prompt.question if isinstance(prompt, TextPrompt) else id(prompt) for prompt in prompts]
    first = dict(zip(reversed(keys), reversed(prompts), strict=True))  # key -> first prompt of that key
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return tuple(first[key] for key in places), tuple(places[key] for key in keys)


def _items(prompts: Any) -> tuple[Any, ...]:
    """Return the members of an ordered collection, or raise PromptError for anything else."""
    unordered = isinstance(prompts, bytes | bytearray | Mapping | AbstractSet)
    if unordered or not isinstance(prompts, Iterable):
        got = f"prompts of type {type(prompts).__name__}"
        raise PromptError(sentence(got, "a phrase or a list of phrases", "pass for example ['left eye', 'hair']"))
    return tuple(prompts)


def _as_prompt(item: Any) -> Prompt:
    return item if isinstance(item, Prompt) else TextPrompt(item)
