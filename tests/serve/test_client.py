"""The Python client against a running service, and connections that are too slow."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fakes import BrightnessSegmenter
from tests.serve.requests import image_bytes
from tests.serve.running import running
from wordmask.serve import Client
from wordmask.serve.client import ServiceFailure, mask_of


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(BrightnessSegmenter(), api_keys=("secret",), header_seconds=0.3, body_seconds=0.3) as address:
        yield address


def connected(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=5)


def test_the_client_returns_typed_answers(address: str, half_bright: Path) -> None:
    client = Client(address, api_key="secret")

    answer = client.segment(half_bright, ["bright", {"text": "dark", "negatives": ["cat"]}], threshold=0.6)
    assert [(r.prompt, r.status, r.threshold) for r in answer.results] == [
        ("bright", "present", 0.6),
        ("dark", "present", 0.6),
    ]
    expected = BrightnessSegmenter().segment(image_bytes(), ["bright", "dark"], threshold=0.6)
    for result, found in zip(answer.results, expected, strict=True):
        assert (mask_of(result.masks[0]) == found.mask).all()
    assert client.models()[0]["id"] == "brightness"
    assert client.health()["status"] == "ok"


def test_refusals_are_errors_with_their_code(address: str) -> None:
    with pytest.raises(ServiceFailure, match="no valid API key") as caught:
        Client(address).segment(image_bytes(), "bright")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (401, "invalid_api_key", None)
    with pytest.raises(ServiceFailure, match="start wordmask serve"):
        Client("http://127.0.0.1:9").health()


@pytest.mark.parametrize("sent", [b"", b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_arrive_ends_the_connection(address: str, sent: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(sent)
        start = time.monotonic()
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        assert time.monotonic() - start < 3


def test_a_body_that_does_not_arrive_is_answered_408(address: str) -> None:
    head = (
        "POST /v1/segment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with connected(address) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    assert Client(address).health()["status"] == "ok"
