"""Errors and warnings of commands: one sentence, no traceback."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeAlias

import typer

from wordmask.errors import OutputError, WordmaskError, WordmaskWarning, sentence

BAD_INPUT = 2
SOME_FAILED = 1

Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@contextmanager
def errors_as_sentences(debug: bool) -> Iterator[None]:
    """Turn a `WordmaskError` into its sentence on standard error and exit code 2, unless `debug`.

    Other exceptions are bugs of wordmask and keep their traceback. Warnings of Pillow and torch and libtiff's lines
    about damaged images are not shown, unless `debug`. A `WordmaskWarning` is shown as its sentence.
    """
    from wordmask.images.decoding import quiet_libraries

    try:
        with warnings.catch_warnings(), contextlib.nullcontext() if debug else quiet_libraries():
            if not debug:
                warnings.filterwarnings("ignore", module=r"(PIL|torch|transformers|safetensors)\b")
            warnings.showwarning = _shown_by(warnings.showwarning)
            yield
    except WordmaskError as error:
        if debug:
            raise
        print_error(error)
        raise typer.Exit(BAD_INPUT) from None


def report_closed_output(error: OSError) -> int:
    """Report that standard output cannot be written, and return the exit code; a closed pipe is not reported."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # what is left would fail again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return SOME_FAILED
    got = f"standard output, which cannot be written ({error.strerror})"
    with contextlib.suppress(OSError):  # standard error may be as full
        print_error(OutputError(sentence(got, "a writable output", "free some space, or redirect it elsewhere")))
    return BAD_INPUT


def print_error(error: WordmaskError) -> None:
    """Print the error's sentence on standard error."""
    typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)


def _shown_by(others: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, WordmaskWarning):
            with contextlib.suppress(OSError):  # a warning that cannot be printed is no reason to stop
                typer.secho(f"Warning: {message}", fg=typer.colors.YELLOW, err=True)
        else:
            others(message, category, *place, **more)

    return show
