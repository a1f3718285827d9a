"""`wordmask serve`: an HTTP service and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import Debug, errors_as_sentences

_MODEL = "As for segment; repeat it to serve several, or write NAME=MODEL. The first is the default. Default: compact."
_HOST = "Interface to listen on. The default is reached from this machine alone; 0.0.0.0 from the network."
_WORKERS = "Processes, each with its own models and features; those that die are started again."
_KEY = "Ask requests for this key (Authorization: Bearer KEY). Can be repeated."
_ORIGIN = "Another page that may call the service, such as https://example.org. Can be repeated."
_NAME = "Answer requests to this host name alone. Can be repeated. Default: the names of this machine, if --host is."
_CACHE = "Folder that keeps features of images, shared with other processes and commands. Default: memory alone."
_URLS = "Take addresses of images on public servers, too."


def serve(
    *,
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help=_MODEL, show_default=False)] = None,
    host: Annotated[str, typer.Option(help=_HOST)] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help=_WORKERS)] = 1,
    threads: Annotated[int, typer.Option(min=0, help="Images answered at once; 0: one for two cores.")] = 0,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; the next are answered 503.")] = 64,
    upload_mb: Annotated[float, typer.Option(min=0.001, help="Largest body of a request, in megabytes.")] = 25.0,
    feature_mb: Annotated[float, typer.Option(min=0, help="Memory for features of images seen before.")] = 256.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for a request; then 504.")] = 60.0,
    api_key: Annotated[list[str] | None, typer.Option(envvar="WORDMASK_API_KEY", help=_KEY, show_default=False)] = None,
    cors_origin: Annotated[list[str] | None, typer.Option(help=_ORIGIN, show_default=False)] = None,
    host_name: Annotated[list[str] | None, typer.Option(help=_NAME, show_default=False)] = None,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help=_URLS)] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Whether there is a page at /.")] = True,
    cache: Annotated[Path | None, typer.Option(help=_CACHE, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    debug: Debug = False,
) -> None:
    """Serve masks over HTTP, with a page to try phrases: open http://127.0.0.1:8000 in a browser.

    wordmask serve

    wordmask serve --model compact --model clipseg --port 9000
    """
    with errors_as_sentences(debug):
        from wordmask.serve.running import Address, ServedModels, run
        from wordmask.serve.settings import ServiceSettings

        named = dict(_named(word) for word in model or ["compact"])
        for one in named.values():
            announce_download(one)
        settings = ServiceSettings(
            feature_bytes=int(feature_mb * 1e6), upload_bytes=int(upload_mb * 1e6), waiting=queue, seconds=seconds,
            workers=threads, api_keys=tuple(api_key or ()), cors_origins=tuple(cors_origin or ()),
            hosts=tuple(host_name or ()),
            allow_urls=allow_urls, page=page,
        )  # fmt: skip
        run(ServedModels(named, device, dtype, str(cache) if cache else None), Address(host, port, workers), settings)


def _named(word: str) -> tuple[str, str]:
    """Return the name and the model of an option: `NAME=MODEL`, or a model whose last part is its name."""
    name, equals, model = word.partition("=")
    return (name, model) if equals and name and model else (Path(word).name or word, word)
