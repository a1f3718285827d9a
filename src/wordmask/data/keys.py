"""Find the samples that a user asks for by the names of their files, written in any way."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from wordmask.data.names import path_key
from wordmask.data.problems import NOTHING_LEFT, require_sound
from wordmask.errors import DataError, quote, sentence
from wordmask.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["chosen_keys"]

_Value = TypeVar("_Value")
_REMEDY = "correct the list, which is in splits.json if the data have one"


def chosen_keys(
    samples: Mapping[str, _Value], keys: Iterable[str] | None, where: str, *, skip_bad: bool
) -> tuple[dict[str, _Value], tuple[str, ...]]:
    """Return the samples that are asked for, by their own keys, and sentences about those that there are not.

    A sample with the key `photos/a.jpg` is found as that, `a.jpg`, `photos/a` and `a`; one with the key `a` as
    `a.jpg`, too. What fits several samples is none of them.

    Args:
        samples: What there is, by key.
        keys: What is asked for, in this order; None: everything.
        where: The file or folder, for messages.
        skip_bad: Whether samples that are missing are left out; otherwise they are an error.

    Raises:
        DataError: If one is missing, or all are.
    """
    if keys is None:
        return dict(samples), ()
    names: dict[str, list[str]] = {}
    for own in samples:
        for name in dict.fromkeys(_names(own)):
            names.setdefault(name, []).append(own)
    found: dict[str, _Value] = {}
    problems = []
    for wanted in keys:
        problem, key = _find(path_key(wanted), samples, names)
        if key is not None and key not in found:
            found[key] = samples[key]
            continue
        got = f"{problem or 'twice the sample'} {quote(wanted)} in {where}"
        problems.append(sentence(got, "one sample for every name that is asked for", _REMEDY))
        if not skip_bad:
            raise DataError(problems[-1])
    if not found:
        require_sound(tuple(problems), NOTHING_LEFT)
    return found, tuple(problems)


def _find(wanted: str, samples: Mapping[str, object], names: Mapping[str, list[str]]) -> tuple[str, str | None]:
    """Return what is wrong with a name, and the key that it means."""
    if wanted in samples:
        return "", wanted
    for name in _names(wanted):
        fitting = names.get(name, [])
        if len(fitting) == 1:
            return "", fitting[0]
        if fitting:
            return "several images", None
    return "no image", None


def _names(key: str) -> tuple[str, ...]:
    """Return a path, and what is left of it without folder, without ending, and without both."""
    whole = path_key(key)
    name = whole.rsplit("/", 1)[-1]
    return whole, name, _without_ending(whole), _without_ending(name)


def _without_ending(name: str) -> str:
    """Return a name without the ending of an image or a label map; other dots stay."""
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending) if ending.lower() in IMAGE_SUFFIXES else name
