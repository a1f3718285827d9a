"""A recipe: a complete training configuration. What a run did is this value, written into its folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wordmask.errors import DataError, quote, sentence
from wordmask.settings import changed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wordmask.contracts import Trainable
    from wordmask.training.data import DataSettings
    from wordmask.training.schedule import Schedule

__all__ = ["MethodSettings", "Recipe", "with_changes"]

GROUPS = ("schedule", "data", "method")


class MethodSettings(Protocol):
    """The part of a recipe that says which parts of which model are trained by which losses: a `Settings`.

    Attributes:
        pretrained: Whether the model knows something before the training, and may forget it.
    """

    @property
    def pretrained(self) -> bool: ...

    def open(self, model: Path | None, schedule: Schedule) -> Trainable:
        """Open or build what is trained.

        Args:
            model: Local folder or file of the weights to start from; None = no weights were named.
            schedule: Its seed is that of random weights.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        ...

    def meanings(self) -> dict[str, str]:
        """Return what each value means."""
        ...


@dataclass(frozen=True)
class Recipe:
    """A complete training configuration, beside the data and the model that it starts from.

    Attributes:
        name: Of the recipe.
        schedule: How weights are optimised.
        data: How samples are drawn and augmented.
        method: What is trained, by which losses.
    """

    name: str
    schedule: Schedule
    data: DataSettings
    method: MethodSettings

    def to_json(self) -> dict[str, Any]:
        """Return the plain values, by group."""
        return {"name": self.name, **{group: getattr(self, group).to_json() for group in GROUPS}}

    def defaults(self) -> dict[str, dict[str, Any]]:
        """Return the plain default values, by group."""
        return {group: getattr(self, group).defaults() for group in GROUPS}

    def flat(self) -> dict[str, Any]:
        """Return the plain values of all groups; no name stands in two of them."""
        return {name: value for group in GROUPS for name, value in getattr(self, group).to_json().items()}


def with_changes(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with some values changed, each by its name alone; text is read by the value's type.

    Raises:
        DataError: If there is no such value, or the new one does not fit.
    """
    unknown = [name for name in changes if name not in recipe.flat()]
    if unknown:
        expected = f"one of {', '.join(recipe.flat())}"
        raise DataError(sentence(f"the value {quote(unknown[0])} of {recipe.name}", expected, "correct the name"))
    groups = {}
    for group in GROUPS:
        settings = getattr(recipe, group)
        own = {name: value for name, value in changes.items() if name in settings.to_json()}
        groups[group] = changed(settings, own) if own else settings
    return dataclasses.replace(recipe, **groups)
