"""`wordmask mcp`: tools for programs with a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import Debug, errors_as_sentences

_ROOT = "Folder that images may be read from. Can be repeated. Default: every file that you may read."


def mcp(
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="As for segment.")] = "compact",
    root: Annotated[list[Path] | None, typer.Option(help=_ROOT, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    debug: Debug = False,
) -> None:
    """Offer the tools `segment` and `explain` over the Model Context Protocol, on standard input and output.

    A client starts this command; see docs/tasks/serve.md for two of them.
    """
    with errors_as_sentences(debug):
        from wordmask.api import load
        from wordmask.serve.mcp import create_mcp_server

        announce_download(model)
        server = create_mcp_server(load(model, device=device, dtype=dtype), roots=root or ())
        server.run("stdio")
