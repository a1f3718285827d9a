"""The tree of exceptions and the form of their messages."""

from __future__ import annotations

import pytest

from wordmask import errors
from wordmask.errors import WordmaskError, quote, sentence

PARENTS = {
    "ImageError": "WordmaskError",
    "PromptError": "WordmaskError",
    "UnsupportedPromptError": "PromptError",
    "ModelNotFoundError": "WordmaskError",
    "OfflineError": "ModelNotFoundError",
    "CheckpointError": "WordmaskError",
    "DataError": "WordmaskError",
    "DeviceError": "WordmaskError",
    "OutputError": "WordmaskError",
    "TrainingError": "WordmaskError",
    "MissingExtraError": "WordmaskError",
    "WordmaskError": "Exception",
}


def _classes() -> dict[str, type[BaseException]]:
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if not issubclass(value, Warning)}


def test_the_tree_is_as_it_is_drawn() -> None:
    assert {name: error.__base__.__name__ for name, error in _classes().items() if error.__base__} == PARENTS


@pytest.mark.parametrize("name", sorted(PARENTS))
def test_every_error_is_drawn_and_exported(name: str) -> None:
    assert name in (errors.__doc__ or "")
    assert name in errors.__all__


@pytest.mark.parametrize("name", sorted(PARENTS))
def test_every_error_is_caught_as_wordmask_error(name: str) -> None:
    with pytest.raises(WordmaskError, match="no luck"):
        raise _classes()[name]("no luck")


def test_sentence_says_got_expected_remedy() -> None:
    assert sentence("3", "4", "add 1") == "Got 3, expected 4: add 1."


def test_quote_keeps_short_text() -> None:
    assert quote("left eye") == "'left eye'"


def test_quote_keeps_one_line() -> None:
    assert "\n" not in quote("a\nb")
    assert "\x1b" not in quote("\x1b[31m")


def test_quote_cuts_the_middle_of_long_text() -> None:
    shown = quote("start" + "x" * 10_000 + "end", limit=40)
    assert len(shown) == 41  # 20 + ellipsis + 18, and the quotes
    assert shown.startswith("'start")
    assert shown.endswith("end'")
