"""Keys, hosts, other pages, headers: what is refused before a request is read."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes import BrightnessSegmenter
from tests.serve.requests import body
from wordmask.errors import CheckpointError, DataError
from wordmask.serve import ServiceSettings, create_app


def client(**settings: Any) -> TestClient:
    return TestClient(create_app(BrightnessSegmenter(), settings=ServiceSettings(**settings)))


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_key_is_asked_for_where_there_is_one() -> None:
    guarded = client(api_keys=("secret", "other"))

    assert code(guarded.post("/v1/segment", json=body())) == (401, "invalid_api_key")
    assert code(guarded.get("/metrics")) == (401, "invalid_api_key")
    wrong = {"Authorization": "Bearer secre"}
    assert code(guarded.post("/v1/segment", json=body(), headers=wrong)) == (401, "invalid_api_key")
    for headers in ({"Authorization": "Bearer secret"}, {"X-API-Key": "other"}):
        assert guarded.post("/v1/segment", json=body(), headers=headers).status_code == 200
    assert guarded.get("/v1/health").status_code == 200
    with pytest.raises(DataError, match="empty API key"):
        ServiceSettings(api_keys=("",))


def test_other_hosts_are_refused() -> None:
    guarded = client(hosts=("localhost", "[::1]"))

    assert code(guarded.get("/v1/health", headers={"Host": "evil.example"})) == (400, "unknown_host")
    for host in ("localhost", "localhost:8000", "[::1]:8000"):
        assert guarded.get("/v1/health", headers={"Host": host}).status_code == 200


def test_other_pages_may_not_post() -> None:
    plain = client()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert code(plain.post("/v1/segment", json=body(), headers=headers)) == (403, "cross_origin")
    own = plain.post("/v1/segment", json=body(), headers={"Origin": "http://testserver"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers

    allowed = client(cors_origins=("https://good.example",))
    answer = allowed.post("/v1/segment", json=body(), headers={"Origin": "https://good.example"})
    assert answer.headers["access-control-allow-origin"] == "https://good.example"
    assert code(allowed.post("/v1/segment", json=body(), headers={"Origin": "https://evil.example"}))[0] == 403
    asked = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
    assert allowed.options("/v1/segment", headers=asked).status_code == 200


def test_every_answer_has_security_headers() -> None:
    plain = client()
    for response in (plain.get("/"), plain.get("/v1/health"), plain.get("/missing"), plain.post("/v1/segment")):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
    assert plain.get("/v1/health").headers["cache-control"] == "no-store"


def test_only_files_of_the_page_are_served() -> None:
    plain = client()
    for path in ("/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/..%2f..%2fapi.py", "/page//etc/passwd",
                 "/page/samples/..%2f..%2fx", "/page/samples/camera", "/docs", "/static/index.html"):  # fmt: skip
        response = plain.get(path)
        assert response.status_code == 404, path
        assert response.json()["error"]["code"] == "not_found"
    assert plain.get("/page/samples/chelsea").headers["content-type"] == "image/png"
    assert client(page=False).get("/").status_code == 404
    assert code(plain.get("/v1/segment")) == (405, "method_not_allowed")


def test_a_model_that_is_not_installed_as_it_should_tells_no_path() -> None:
    class Missing(BrightnessSegmenter):
        def segment(self, image: Any, prompts: Any, **more: Any) -> Any:
            raise CheckpointError("Got the folder '/root/secret', expected weights: fetch them.")

    response = TestClient(create_app(Missing())).post("/v1/segment", json=body())
    assert code(response) == (500, "model_failed")
    assert "secret" not in response.text


def test_a_failure_of_the_service_tells_nothing_of_its_inside() -> None:
    class Broken(BrightnessSegmenter):
        def encode(self, image: Any) -> Any:
            raise RuntimeError("secret path /root/x")

    broken = TestClient(create_app(Broken()), raise_server_exceptions=False)
    response = broken.post("/v1/segment", json=body())
    assert code(response) == (500, "internal_error")
    assert "secret" not in response.text
