"""Settings as frozen dataclasses: values are checked when one is made, and read from text by their type."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Choices", "Ranges", "Settings", "changed"]

Ranges: TypeAlias = "Mapping[str, tuple[float, float]]"
"""Lowest and highest value of numbers, by name."""
Choices: TypeAlias = "Mapping[str, tuple[str, ...]]"
"""Possible values, by name."""


class Settings:
    """Base of a frozen dataclass of plain values, whose types are those of `_READERS`.

    Attributes:
        ranges: Lowest and highest value of numbers, by name.
        choices: Possible values, by name.
    """

    ranges: ClassVar[Ranges] = {}
    choices: ClassVar[Choices] = {}

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            DataError: If a value is of the wrong type or out of range.
        """
        for name, kind in self.kinds().items():
            _check_type(name, getattr(self, name), kind)
        for name, (low, high) in self.ranges.items():
            if not low <= getattr(self, name) <= high:
                got = f"{name}={quote(getattr(self, name))}"
                raise DataError(sentence(got, f"a number from {low:g} to {high:g}", "change it"))
        for name, choices in self.choices.items():
            if getattr(self, name) not in choices:
                got = f"{name}={quote(getattr(self, name))}"
                raise DataError(sentence(got, f"one of {', '.join(choices)}", "choose one of these"))

    @classmethod
    def kinds(cls) -> dict[str, str]:
        """Return the type of each value, as it is written in the class."""
        return {field.name: str(field.type) for field in dataclasses.fields(typing.cast("Any", cls))}

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return what each value means, from the section `Attributes` of the docstrings of the class and its bases."""
        found: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            found |= _attributes(base.__doc__ or "")
        return {name: found[name] for name in cls.kinds() if name in found}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the plain default values of the fields that have one."""
        every = dataclasses.fields(typing.cast("Any", cls))
        return {f.name: _plain(f.default) for f in every if f.default is not dataclasses.MISSING}

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {name: _plain(getattr(self, name)) for name in self.kinds()}


def changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Return settings with some values replaced; text is read by the type of the value: "5", "true", "3,7,9".

    Raises:
        DataError: If a value does not fit.
    """
    kinds = settings.kinds()
    read = {k: _read(k, v, kinds[k]) if isinstance(v, str) else v for k, v in changes.items()}
    return dataclasses.replace(settings, **read)


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _check_type(name: str, value: Any, kind: str) -> None:
    if not _FITS[kind](value):
        raise DataError(sentence(f"{name}={quote(value)}", f"a value of type {kind}", "change it"))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _all(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(map(fits, value))


def _pair(first: Callable[[Any], bool], second: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and len(value) == 2 and first(value[0]) and second(value[1])


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "int": _is_int,
    "float": _is_number,
    "str": _is_text,
    "bool": lambda value: isinstance(value, bool),
    "tuple[str, ...]": _all(_is_text),
    "tuple[int, ...]": _all(_is_int),
    "tuple[float, ...]": _all(_is_number),
    "tuple[float, float]": _pair(_is_number, _is_number),
    "tuple[tuple[int, int], ...]": _all(_pair(_is_int, _is_int)),
    "tuple[tuple[str, float], ...]": _all(_pair(_is_text, _is_number)),
}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(text: str, first: Callable[[str], Any], second: Callable[[str], Any]) -> tuple[tuple[Any, Any], ...]:
    halves = [part.replace("=", ":").rpartition(":") for part in _parts(text)]
    return tuple((first(one), second(other)) for one, _, other in halves)


_SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": lambda text: _SWITCH[text.lower()],
    "tuple[str, ...]": lambda text: tuple(_parts(text)),
    "tuple[int, ...]": lambda text: tuple(map(int, _parts(text))),
    "tuple[float, ...]": lambda text: tuple(map(float, _parts(text))),
    "tuple[float, float]": lambda text: tuple(map(float, _parts(text))),
    "tuple[tuple[int, int], ...]": lambda text: _pairs(text, int, int),
    "tuple[tuple[str, float], ...]": lambda text: _pairs(text, str, float),
}


def _read(name: str, text: str, kind: str) -> Any:
    try:
        return _READERS[kind](text)
    except (ValueError, KeyError) as error:
        raise DataError(sentence(f"{name}={quote(text)}", f"a value of type {kind}", "change it")) from error


def _attributes(docstring: str) -> dict[str, str]:
    """Return the texts of a Google docstring's section `Attributes` by name; several names may share one."""
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    texts: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\S)", "\n" + section.split("\n\n")[0]):
        names, colon, text = entry.strip().partition(": ")
        if colon:
            texts |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return texts
