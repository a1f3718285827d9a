"""A service on a free port of this machine, with uvicorn in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from wordmask.serve import ServiceSettings, create_app
from wordmask.serve.connections import guarded_protocol


@contextmanager
def running(models: Any, *, header_seconds: float = 5.0, read_seconds: float = 5.0, **settings: Any) -> Iterator[str]:
    """Serve models, and yield the address."""
    app = create_app(models, settings=ServiceSettings(**settings))
    protocol = guarded_protocol(header_seconds=header_seconds, read_seconds=read_seconds)
    config = uvicorn.Config(app, port=0, http=protocol, ws="none", log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
