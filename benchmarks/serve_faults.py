"""Faults and attacks on `wordmask serve`: it answers or refuses each, and goes on.

    python benchmarks/serve_faults.py --malformed 10000

Half requests, malformed requests, bombs, connections that stall, paths and addresses, killed processes. After each kind
a proper request must be answered rightly. Prints a line of JSON for each. Traffic goes to this machine alone.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import os
import random
import signal
import socket
import struct
import tempfile
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from serve_process import HOST, Service, running

from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 5_000_000
"""Bytes of a body that the service under attack takes."""


def proper() -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(load_image("sample:chelsea").pixels).save(buffer, "JPEG")
    return {"image": base64.b64encode(buffer.getvalue()).decode(), "prompts": ["cat"]}


def halves(service: Service) -> Counter[str]:
    """Connections that end within the head or the body."""
    content = json.dumps(proper()).encode()
    head = (
        "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    whole, seen = head.encode() + content, Counter[str]()
    for number in range(200):
        with socket.create_connection((HOST, service.port), timeout=10) as connection:
            connection.sendall(whole[: (number + 1) * len(whole) // 201])
        seen["sent"] += 1
    return seen


def malformed(service: Service, count: int) -> Counter[str]:
    """Bodies of random bytes, broken JSON, wrong types and broken forms; status by hundreds."""
    content = json.dumps(proper()).encode()

    def send(part: range) -> Counter[str]:
        seen = Counter[str]()
        connection = http.client.HTTPConnection(HOST, service.port, timeout=60)
        for number in part:
            body, kind = wrong(random.Random(number), content)
            try:
                connection.request("POST", "/v1/segment", body, {"Content-Type": kind})
                response = connection.getresponse()
                response.read()
                seen[f"{response.status // 100}xx"] += 1
            except (OSError, http.client.HTTPException):
                seen["closed"] += 1
                connection.close()
        connection.close()
        return seen

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(send, [range(start, count, 8) for start in range(8)]), Counter())


def wrong(chosen: random.Random, content: bytes) -> tuple[bytes, str]:
    """Return a body that is no proper request, and its type."""
    kind = chosen.randrange(6)
    if kind == 0:
        return chosen.randbytes(chosen.randrange(300)), "application/json"
    if kind == 1:
        cut = bytearray(content[: chosen.randrange(1, len(content))])
        return bytes(cut), "application/json"
    if kind == 2:
        value: Any = chosen.choice([None, 1, "x", [], {}, {"a": 1}, {"image": 3, "prompts": 4}, [[[]]] * 9])
        return json.dumps(value).encode(), "application/json"
    if kind == 3:
        image = base64.b64encode(chosen.randbytes(200)).decode()
        return json.dumps({"image": image, "prompts": ["a"]}).encode(), "application/json"
    if kind == 4:
        bad = chosen.choice([{"text": ""}, {"weight": "x"}, 7, {"text": "a", "threshold": 9}, {"visual": {"mask": {}}}])
        return json.dumps({"image": proper()["image"][:40], "prompts": [bad]}).encode(), "application/json"
    return b"--x\r\n" + chosen.randbytes(chosen.randrange(200)), "multipart/form-data; boundary=x"


def png(width: int, height: int) -> bytes:
    """A PNG of zeros, some kilobytes, that would take gigabytes decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(min(height, 40))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bombs(service: Service) -> Counter[str]:
    """Images, texts and bodies that would grow when they are unpacked."""
    seen = Counter[str]()
    sent: list[Any] = [
        {"image": base64.b64encode(png(width, width)).decode(), "prompts": ["a"]} for width in (30_000, 65_000)
    ]
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    sent += [{"image": base64.b64encode(gif).decode(), "prompts": ["a"]}]
    sent += [{**proper(), "prompts": ["a" * 3000]}, {**proper(), "prompts": ["a"] * 10_000}]
    sent += [{**proper(), "prompts": [{"visual": {"mask": {"rle": {"size": [10**9, 10**9], "counts": "P" * 1000}}}}]}]
    for body in sent:
        seen[str(service.post(body).status)] += 1
    for content, kind, encoding in (
        (zlib.compress(bytes(LIMIT * 20)), "application/json", "gzip"), (b"[" * LIMIT, "application/json", "identity"),
        (b"{" + b'"a":{' * 300_000, "application/json", "identity"), (bytes(LIMIT * 4), "application/json", "identity"),
        (b"--x\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n' * 60_000,
         "multipart/form-data; boundary=x", "identity"),
    ):  # fmt: skip
        answer = service.call("POST", "/v1/segment", content, Content_Type=kind, Content_Encoding=encoding)
        seen[str(answer.status)] += 1
    return seen


def stalls(service: Service) -> Counter[str]:
    """Two hundred connections whose heads and bodies never end; others must be served meanwhile."""
    seen, held = Counter[str](), []
    for number in range(200):
        connection = socket.create_connection((HOST, service.port), timeout=60)
        head = b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nX: "
        body = b"a\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"
        connection.sendall(head + (body if number % 2 else b""))
        held.append(connection)
    start = time.monotonic()
    answer = service.post(proper())
    seen[f"meanwhile {answer.status}"] += 1
    for connection in held:
        try:
            while connection.recv(4096):
                pass
            seen["ended by the service"] += 1
        except TimeoutError:
            seen["still open after 60 s"] += 1
        except OSError:
            seen["ended by the service"] += 1
        connection.close()
    seen["seconds"] = round(time.monotonic() - start)
    return seen


def intrusions(service: Service) -> Counter[str]:
    """Paths and addresses that must lead nowhere."""
    seen = Counter[str]()
    for path in ("/page/../app.py", "/page/%2e%2e/%2e%2e/api.py", "/page/..%2fapp.py", "//etc/passwd",
                 "/page//etc/passwd", "/page/samples/..%2f..%2f..%2fetc%2fpasswd", "/.env", "/docs"):  # fmt: skip
        seen[f"path {service.call('GET', path).status}"] += 1
    for address in ("http://127.0.0.1:22/", "http://169.254.169.254/latest", "http://[::1]/", "file:///etc/passwd",
                    "http://localhost/", "http://0x7f000001/",
                    "gopher://127.0.0.1/", "http://10.0.0.1/a.png"):  # fmt: skip
        seen[f"address {service.post({'image': {'url': address}, 'prompts': ['a']}).status}"] += 1
    for image in ("/etc/passwd", "file:///etc/passwd", "sample:chelsea", "../../x.png"):
        seen[f"image {service.post({'image': image, 'prompts': ['a']}).status}"] += 1
    foreign = service.call("POST", "/v1/segment", b"{}", Origin="https://evil.example", Content_Type="text/plain")
    seen[f"other page {foreign.status}"] += 1
    seen[f"other host {service.call('GET', '/v1/health', Host='evil.example').status}"] += 1
    return seen


def kills(service: Service) -> Counter[str]:
    """Kill a process that answers, several times; count requests that fail, and wait for its successor."""
    seen = Counter[str]()
    for _ in range(3):
        worker = int(service.health()["worker"])
        os.kill(worker, signal.SIGKILL)
        start = time.monotonic()
        while time.monotonic() - start < 60:
            status = service.post(proper(), seconds=60).status
            seen[f"during {status}"] += 1
            workers = {service.health().get("worker") for _ in range(6)} - {None}
            if len(workers) >= 2 and worker not in workers:
                seen["came back"] += 1
                break
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--malformed", type=int, default=10_000)
    count = parser.parse_args().malformed
    kinds: dict[str, Callable[[Service], Counter[str]]] = {
        "half requests": halves, "malformed": lambda service: malformed(service, count), "bombs": bombs,
        "stalled": stalls, "paths and addresses": intrusions, "killed processes": kills,
    }  # fmt: skip
    options = ("--workers", "2", "--upload-mb", str(LIMIT / 1e6))
    with tempfile.TemporaryDirectory() as folder, running(*options, log=Path(folder) / "log") as service:
        for name, attack in kinds.items():
            start = time.monotonic()
            seen = attack(service)
            after = service.post(proper())
            right = after.status == 200 and json.loads(after.body)["results"][0]["status"] == "present"
            memory = max(service.health().get("memory_bytes", 0) for _ in range(4))
            print(json.dumps({"kind": name, "seen": dict(seen), "serves on": right, "memory_mb": round(memory / 1e6),
                              "seconds": round(time.monotonic() - start, 1)}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
