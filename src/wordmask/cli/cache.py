"""`wordmask cache`: what the feature cache holds; limit and clear it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wordmask.cli.failures import Debug, errors_as_sentences
from wordmask.cli.models import size_text

_FOLDER = "The folder; default: $WORDMASK_CACHE, or ~/.cache/wordmask/features."
_LIMIT = "Delete what was used longest ago until at most this many GB are left."


def cache(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help=_FOLDER, show_default=False)] = None,
    *,
    limit: Annotated[float | None, typer.Option("--limit-gb", min=0, help=_LIMIT, show_default=False)] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete everything in it.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read every entry, and delete those that are damaged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Show the feature cache that segment, annotate, serve, Python and training share; limit or clear it.

    wordmask cache runs/cache --limit-gb 5
    """
    with errors_as_sentences(debug):
        from wordmask.components.cache_folder import clear_entries, default_folder, describe

        place = folder or default_folder()
        facts: dict[str, Any] = {"folder": str(place)}
        if check:
            from wordmask.components.feature_cache import remove_damaged

            facts["damaged"] = remove_damaged(place)
        if clear or limit is not None:
            keep = 0 if clear else int((limit or 0) * 1e9)
            facts["deleted"], facts["deleted_bytes"] = clear_entries(place, keep=keep)
        facts |= describe(place)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(f"{facts['folder']}: {facts['entries']} entries, {size_text(facts['bytes'])}")
    for what in ("damaged", "deleted"):
        if what in facts:
            typer.echo(f"{what}: {facts[what]}")
