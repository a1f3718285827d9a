"""Problems found while data are opened: listed by the data set, or raised as one error."""

from __future__ import annotations

from wordmask.errors import DataError, sentence

__all__ = ["NOTHING_LEFT", "SHOWN", "problems_of", "require_sound"]

SHOWN = 10
"""Problems that an error lists."""

NOTHING_LEFT = "correct what is listed here: without it, nothing is left"
"""Remedy where everything is wrong."""
_REMEDY = "correct what is listed here, or leave it out with --skip-bad"


def problems_of(dataset: object) -> tuple[str, ...]:
    """Return what was found wrong and left out when a data set was opened; () for sets that do not list problems."""
    return tuple(getattr(dataset, "problems", ()))


def require_sound(problems: tuple[str, ...], remedy: str = _REMEDY) -> None:
    """Raise an error where there are problems.

    Args:
        problems: Sentences, each about one line, file or sample.
        remedy: What the user can do.

    Raises:
        DataError: It lists the first `SHOWN` of them.
    """
    if not problems:
        return
    lines = "".join(f"\n  {number}. {problem}" for number, problem in enumerate(problems[:SHOWN], start=1))
    more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise DataError(sentence(f"data with {count}", "images, masks and phrases that fit", remedy) + lines + more)
