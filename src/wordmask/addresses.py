"""Content of http and https addresses, bounded in bytes and time, and never from private networks."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from wordmask import __version__
from wordmask.errors import ImageError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 50_000_000
MAX_SECONDS = 30.0
_MOST_REDIRECTS = 5
_CHUNK = 65_536
_REMEDY = "download it first, and give the file"


def is_address(word: str) -> bool:
    """Whether an argument is an http or https address."""
    return word.lower().startswith(("http://", "https://"))


def fetch(address: str) -> bytes:
    """Return what an address holds; redirections are followed.

    Every host name is resolved here, and the connection goes to the very address that was checked, so that a name
    cannot lead into the network of this machine.

    Raises:
        ImageError: It is malformed, private, unreachable, too large, too slow, or answers with an error.
    """
    until = time.monotonic() + MAX_SECONDS
    place = address
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            target, content = _get(place, address, until)
            if content is not None:
                return content
            place = urljoin(place, target)
    except (OSError, http.client.HTTPException, ValueError) as error:  # a malformed port is a ValueError
        slow = isinstance(error, TimeoutError)
        reason = f"no answer within {MAX_SECONDS:g} seconds" if slow else quote(error, limit=60)
        raise _refused(address, f"cannot be read ({reason})") from error
    raise _refused(address, f"leads on more than {_MOST_REDIRECTS} times")


def _get(place: str, address: str, until: float) -> tuple[str, bytes | None]:
    """Return where to look instead, or the content."""
    url = urlsplit(place)
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise _refused(address, "leads to no plain http or https address")
    with closing(_connect(url, address, until)) as connection, _shut_at(connection.sock, until):
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("GET", path, headers={"User-Agent": f"wordmask/{__version__}", "Accept": "image/*"})
        with closing(connection.getresponse()) as response:
            if response.status in (301, 302, 303, 307, 308):
                return response.getheader("Location") or "", None
            if response.status != 200:
                raise _refused(address, f"answers {response.status} {response.reason}")
            return "", _read(response, address, until)


@contextmanager
def _shut_at(connection: socket.socket, until: float) -> Iterator[None]:
    """Shut a connection when the time is over: a server that sends a byte now and then never meets a socket's limit."""

    def shut() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, until - time.monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield
        _left(until)
    finally:
        timer.cancel()


def _connect(url: SplitResult, address: str, until: float) -> http.client.HTTPConnection:
    host, secure = str(url.hostname), url.scheme == "https"
    port = url.port or (443 if secure else 80)
    family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    if not _is_public(str(place[0])):
        raise _refused(address, f"leads into a private network ({place[0]})")
    connection = http.client.HTTPConnection(host, port)
    raw = socket.socket(family, kind)
    try:
        raw.settimeout(_left(until))
        raw.connect(place)
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if secure else raw
    except BaseException:
        raw.close()
        raise
    return connection


def _read(response: http.client.HTTPResponse, address: str, until: float) -> bytes:
    parts, size = [], 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise _refused(address, f"holds more than {MAX_BYTES / 1e6:g} MB")
    _left(until)
    return b"".join(parts)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_public(host: str) -> bool:
    """Whether an IP address belongs to no private, local or reserved network."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return address.is_global and not address.is_multicast and (mapped is None or mapped.is_global)


def _refused(address: str, why: str) -> ImageError:
    return ImageError(sentence(f"the address {quote(address)}, which {why}", "an image on a public server", _REMEDY))
