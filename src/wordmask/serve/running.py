"""Run a service with uvicorn, in this process or in several that are started again when they die."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from wordmask.errors import MissingExtraError, WordmaskError, installing, sentence
from wordmask.serve.connections import PROTOCOL
from wordmask.serve.settings import LOCAL_HOSTS, ServiceSettings

if TYPE_CHECKING:
    from wordmask.contracts import Segmenter

__all__ = ["Address", "ServedModels", "application", "run"]

VARIABLE = "WORDMASK_SERVE"
"""Environment variable in which processes find what to serve."""
CONNECTIONS = 512
"""Connections that are open at once; the next are answered 503."""
FAREWELL_SECONDS = 30
"""Time that running requests have when the service is asked to stop."""


@dataclass(frozen=True)
class ServedModels:
    """What a process loads.

    Attributes:
        models: As for `wordmask.load`, by the names that requests give.
        device, dtype, cache: As for `wordmask.load`.
    """

    models: dict[str, str]
    device: str = "auto"
    dtype: str = "auto"
    cache: str | None = None

    def load(self) -> dict[str, Segmenter]:
        """Load every model."""
        from wordmask.api import load

        options: dict[str, Any] = {"device": self.device, "dtype": self.dtype, "cache": self.cache}
        return {name: load(model, **options) for name, model in self.models.items()}


@dataclass(frozen=True)
class Address:
    """Where a service listens.

    Attributes:
        host: Interface; the default is that of this machine alone.
        port: 0 takes a free one.
        processes: How many serve it.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    processes: int = 1

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("127.0.0.1", "localhost", "::1")


def run(models: ServedModels, address: Address, settings: ServiceSettings) -> None:
    """Serve until the process is asked to stop; what is running then is answered first.

    A local service answers only to the names of this machine, so that no page of another name can reach it.

    Raises:
        MissingExtraError: If uvicorn or FastAPI is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(sentence(f"no {error.name}", "the extra serve", installing("serve"))) from error
    if address.is_local and not settings.hosts:
        settings = replace(settings, hosts=LOCAL_HOSTS)
    os.environ[VARIABLE] = json.dumps({"models": asdict(models), "settings": asdict(settings)})
    options: dict[str, Any] = {
        "host": address.host, "port": address.port, "http": PROTOCOL, "ws": "none", "lifespan": "on",
        "limit_concurrency": CONNECTIONS, "timeout_keep_alive": 5, "timeout_graceful_shutdown": FAREWELL_SECONDS,
        "server_header": False, "access_log": False, "log_level": "info",
    }  # fmt: skip
    if address.processes > 1:
        uvicorn.run(f"{__name__}:application", factory=True, workers=address.processes, **options)
    else:
        uvicorn.run(application(), **options)


def application() -> Any:
    """Make the application that the environment describes; every process calls it."""
    from wordmask.serve.app import create_app

    told = json.loads(os.environ[VARIABLE])
    models = ServedModels(**told["models"])
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told["settings"].items()
    }
    try:
        return create_app(models.load(), settings=ServiceSettings(**fields))
    except WordmaskError as error:
        raise SystemExit(f"Error: {error}") from None
