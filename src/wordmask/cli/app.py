"""The table of commands. Importing this loads Typer and no network library."""

from __future__ import annotations

from typing import Annotated

import typer

from wordmask import __version__
from wordmask.cli.annotate import annotate
from wordmask.cli.cache import cache
from wordmask.cli.calibrate import calibrate
from wordmask.cli.command import PhraseCommand
from wordmask.cli.compare import compare
from wordmask.cli.evaluate import evaluate
from wordmask.cli.export import export
from wordmask.cli.export_model import export_model
from wordmask.cli.mcp import mcp
from wordmask.cli.models import models
from wordmask.cli.segment import segment
from wordmask.cli.serve import serve
from wordmask.cli.train import train

COMMANDS = (segment, annotate, export, calibrate, cache, train, evaluate, compare, serve, mcp, export_model, models)

app = typer.Typer(
    name="wordmask",
    help="Say it, get the mask: segment what a phrase names.",
    epilog=(
        "Exit codes: 0 success, also when nothing was found; 1 some images failed; 2 bad usage or bad input; "
        "130 interrupted."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(cls=PhraseCommand)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wordmask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
