"""A service in processes of its own, for the measuring programs; traffic stays on this machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
TICKS = os.sysconf("SC_CLK_TCK")


class Answer(NamedTuple):
    """What came back: status 0 where the connection ended without an answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class Service:
    """A running `wordmask serve`.

    Args:
        port: Where it listens.
        pid: Its first process.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    def call(
        self, method: str, path: str, body: bytes | None = None, *, seconds: float = 120.0, **headers: str
    ) -> Answer:
        """Send one request over a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        except (OSError, http.client.HTTPException):
            return Answer(0, b"", {})
        finally:
            connection.close()

    def post(self, body: Any, *, seconds: float = 120.0) -> Answer:
        """Ask for masks."""
        return self.call(
            "POST", "/v1/segment", json.dumps(body).encode(), seconds=seconds, Content_Type="application/json"
        )

    def health(self) -> dict[str, Any]:
        """Return `/v1/health`, {} without an answer."""
        answer = self.call("GET", "/v1/health", seconds=20)
        return dict(json.loads(answer.body)) if answer.status == 200 else {}

    def processes(self) -> list[int]:
        """Return the first process and all below it."""
        found = [self.pid]
        for place in found:
            for path in Path(f"/proc/{place}/task").glob("*/children"):
                found += [int(word) for word in path.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes."""
        total = 0.0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        return total


@contextmanager
def running(*options: str, log: Path) -> Iterator[Service]:
    """Start `wordmask serve` with options on a free port, and end it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "wordmask", "serve", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    service = Service(port, process.pid)
    try:
        until = time.monotonic() + 120
        while not service.health():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, "the service does not start"
            time.sleep(0.2)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
