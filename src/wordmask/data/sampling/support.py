"""Example images as prompts: an image of another sample with the mask of the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from wordmask.data.reading import malformed, read_image
from wordmask.errors import DataError, ImageError, quote, sentence
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.prompts import Prompt

__all__ = ["PROMPTS", "PromptKind", "as_phrase", "example", "require_number", "with_example"]

PromptKind: TypeAlias = Literal["text", "visual", "mixed"]
PROMPTS: tuple[PromptKind, ...] = ("text", "visual", "mixed")
"""What a one-shot data set can ask with: words, an example, or both."""


def require_number(value: object, choices: Sequence[int], what: str) -> None:
    """Check a number that a user chose, such as a fold.

    Raises:
        DataError: If `value` is none of `choices`.
    """
    if isinstance(value, bool) or value not in choices:
        expected = f"one of {', '.join(map(str, choices))}"
        raise DataError(sentence(f"the {what} {quote(value)}", expected, "choose one of these"))


def as_phrase(template: str, name: str) -> TextPrompt:
    """Return a class name in a template such as "a photo of a {}.".

    Raises:
        DataError: If the template has no place for the name.
    """
    if "{}" not in template:
        got, expected = f"the template {quote(template)}", "a text with {} in the place of the name"
        raise DataError(sentence(got, expected, "write for example 'a photo of a {}.'"))
    return TextPrompt(template.replace("{}", name))


def example(path: str | os.PathLike[str], mask: NDArray[Any], *, name: str, mode: str) -> VisualPrompt:
    """Read an example image.

    Args:
        path: The image.
        mask: Bool `(H, W)`, not empty, of the image's size.
        name: What it is an example of.
        mode: How it is prepared for an image encoder, one of `ops.highlight.MODES`.

    Raises:
        DataError: If the image is missing, damaged or of another size.
    """
    image = read_image(path, (mask.shape[0], mask.shape[1]), as_stored=True)
    try:
        return VisualPrompt(image, mask, name=name, mode=mode)
    except ImageError as error:
        raise malformed(path, "an image", "damage") from error


def with_example(kind: PromptKind, words: TextPrompt, visual: VisualPrompt | None, weight: float) -> Prompt:
    """Return what is asked: words, the example, or both with `weight` as the weight of the words."""
    if kind == "text" or visual is None:
        return words
    return visual if kind == "visual" else MixedPrompt(words, visual, weight=weight)
