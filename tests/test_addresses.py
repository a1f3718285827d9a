"""Images from addresses, with a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fakes import BrightnessSegmenter
from wordmask import addresses
from wordmask.addresses import fetch
from wordmask.cli.addresses import read_image
from wordmask.cli.app import app
from wordmask.errors import ImageError


@pytest.fixture
def server(half_bright: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an image, and what else a server may answer; this machine counts as public."""
    image = half_bright.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path in ("/moved", "/round", "/inside"):
                self.send_response(302)
                there = {"/moved": "half.png", "/round": "/round", "/inside": "http://10.0.0.1/a.png"}
                self.send_header("Location", there[path])
                self.end_headers()
                return
            self.send_response(404 if path == "/missing" else 200)
            self.end_headers()
            if path == "/slow":
                threading.Event().wait(2)
            elif path == "/large":
                for _ in range(20):
                    self.wfile.write(bytes(10_000))
            else:
                self.wfile.write(image if path.endswith(".png") else b"text")

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    is_public = addresses._is_public
    monkeypatch.setattr(addresses, "_is_public", lambda host: host == "127.0.0.1" or is_public(host))
    monkeypatch.setattr("wordmask.api.load", lambda *_, **__: BrightnessSegmenter())
    monkeypatch.chdir(half_bright.parent)
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_an_image_is_read(server: str) -> None:
    address = f"{server}/moved?size=large"
    image = read_image(address)
    assert (image.size, image.name, image.path) == ((40, 60), "moved", address)


def test_segment_takes_addresses_when_asked(server: str) -> None:
    address = f"{server}/photos/half.png?a=1"
    words = ["segment", address, "half.png", "-p", "bright", "--json", "--out", "found"]

    refused = CliRunner().invoke(app, words)
    assert (refused.exit_code, "add --allow-urls" in refused.stderr) == (1, True)
    done = CliRunner().invoke(app, [*words, "--allow-urls"])
    assert done.exit_code == 0
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["image"], first["prompts"]) == (address, second["prompts"])
    images = json.loads(Path("found/coco.json").read_text(encoding="utf-8"))["images"]
    assert [image["file_name"] for image in images] == ["half.png", address]
    assert Path("found/half-2.overlay.png").is_file()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/missing", "answers 404"),
        ("/round", "leads on more than 5 times"),
        ("/inside", "leads into a private network (10.0.0.1)"),
        ("/large", "holds more than 0.1 MB"),
        ("/slow", "no answer within 0.5 seconds"),
    ],
)
def test_what_is_refused(server: str, path: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MAX_BYTES", 100_000)
    monkeypatch.setattr(addresses, "MAX_SECONDS", 0.5)
    with pytest.raises(ImageError) as caught:
        fetch(server + path)
    assert said in str(caught.value)
    assert "download it first" in str(caught.value)


def test_what_is_no_image(server: str) -> None:
    with pytest.raises(ImageError, match=r"'page', which is not an image"):
        read_image(f"{server}/page")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/a.png", "http://localhost/a.png", "http://[::1]/a.png", "http://10.1.2.3/", "http://0/",
        "http://192.168.0.1/a.png", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://2130706433/",
        "http://[fe80::1]/", "http://[fd00::1]/a.png", "http://224.0.0.1/", "http://100.64.0.1/",
    ],
)  # fmt: skip
def test_private_networks_are_refused(address: str) -> None:
    with pytest.raises(ImageError, match=r"leads into a private network|cannot be read"):
        fetch(address)


@pytest.mark.parametrize("address", ["http://user:word@example.com/", "http:///a.png", "http://a:x/", "http://[::1/"])
def test_malformed_addresses_are_one_sentence(address: str) -> None:
    with pytest.raises(ImageError, match=r"the address"):
        fetch(address)


def test_public_addresses() -> None:
    assert addresses._is_public("93.184.216.34")
    assert addresses._is_public("2606:2800:220:1:248:1893:25c8:1946")
    assert not addresses._is_public("2002:0a00:0001::")
