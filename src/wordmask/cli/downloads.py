"""Say what a command downloads before it does."""

from __future__ import annotations

import typer


def announce_download(model: str | None) -> None:
    """Name the parts of a preset that are not in the local cache, and their size, on standard error.

    The hub's own progress bars follow. Nothing is said where no download is going to be tried.
    """
    if model is None:
        return
    from wordmask.api import missing_parts
    from wordmask.backbones.hub import is_offline
    from wordmask.cli.models import size_text

    for part in missing_parts(model):
        if not is_offline():
            typer.echo(f"Downloading {part.hub} ({size_text(part.bytes)}) into the local cache", err=True)
