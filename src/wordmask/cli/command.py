"""Parsing of options where Typer's default is surprising."""

from __future__ import annotations

import itertools
import re
from typing import Any

import typer
from typer.core import TyperCommand

from wordmask.cli.failures import BAD_INPUT, print_error
from wordmask.errors import PromptError, quote, sentence

_TAKES_PHRASE = re.compile(r"-[a-z]*p|--prompt")


class PhraseCommand(TyperCommand):
    """A command whose `-p` does not take the next option for a phrase, as in `-p --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the arguments before they are parsed."""
        options = {name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("-")}
        taken = missing_phrase(args, options)
        if taken is not None:
            got = f"the option {quote(taken)} in the place of the phrase behind -p"
            remedy = f"put the phrase there; if this is the phrase, write --prompt={taken}, or put it behind --"
            print_error(PromptError(sentence(got, "a phrase", remedy)))
            raise typer.Exit(BAD_INPUT)
        return super().parse_args(ctx, args)


def missing_phrase(words: list[str], options: set[str]) -> str | None:
    """Return the first option, or `--`, that stands where `-p` or `--prompt` wants a phrase; None if there is none."""
    end = words.index("--") + 1 if "--" in words else len(words)
    for word, following in itertools.pairwise(words[:end]):
        if _TAKES_PHRASE.fullmatch(word) and following in options | {"--"}:
            return following
    return None
