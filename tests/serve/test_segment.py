"""`POST /v1/segment`: what comes back for what is sent."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.fakes import BrightnessSegmenter
from tests.serve.requests import body, image_bytes, text
from wordmask.ops.rle import decode
from wordmask.serve import ServiceSettings, create_app

SETTINGS = ServiceSettings(upload_bytes=200_000, image_pixels=100_000, prompts=5)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(BrightnessSegmenter(), settings=SETTINGS)) as client:
        yield client


def answer(client: TestClient, sent: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/segment", json=sent)
    assert response.status_code == 200, response.text
    read: dict[str, Any] = response.json()
    return read


def error(client: TestClient, sent: Any, status: int, **more: Any) -> str:
    response = client.post("/v1/segment", json=sent, **more)
    assert response.status_code == status, response.text
    found = response.json()["error"]
    assert set(found) == {"message", "type", "code"}
    return str(found["code"])


def bright_half() -> Any:
    expected = BrightnessSegmenter().segment(image_bytes(), "bright")
    return expected["bright"].mask


def test_the_answer_says_what_the_library_says(client: TestClient) -> None:
    got = answer(client, body(["bright", "dark", "cat"]))

    assert got["id"].startswith("seg-")
    assert (got["model"], got["size"]) == ("brightness", [40, 60])
    assert [r["index"] for r in got["results"]] == [0, 1, 2]
    assert [r["prompt"] for r in got["results"]] == ["bright", "dark", "cat"]
    assert [r["status"] for r in got["results"]] == ["present", "present", "absent"]
    assert [r["presence"] for r in got["results"]] == [0.97, 0.97, 0.02]
    assert got["results"][2]["masks"] == []
    mask = got["results"][0]["masks"][0]
    assert (decode(mask["rle"]) == bright_half()).all()
    assert mask["bbox"] == [30, 0, 30, 40]
    assert mask["area"] == 1200
    assert {"queue", "encode", "segment", "write", "total", "reused"} == set(got["timings"])


def test_a_form_asks_the_same(client: TestClient) -> None:
    fields = {
        "prompts": ["bright", '{"text": "dark", "threshold": 0.9}', '["cat"]'],
        "format": "rle",
        "instances": "false",
    }
    response = client.post("/v1/segment", data=fields, files={"image": ("a.png", image_bytes())})

    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert [r["prompt"] for r in results] == ["bright", "dark", "cat"]
    assert [r["threshold"] for r in results] == [0.5, 0.9, 0.5]
    assert (decode(results[0]["masks"][0]["rle"]) == bright_half()).all()


def test_polygons_and_png_are_the_same_mask(client: TestClient) -> None:
    polygon = answer(client, body(format="polygon"))["results"][0]["masks"][0]["polygon"]
    drawn = np.zeros((40, 60), np.uint8)
    for part in polygon:
        cv2.fillPoly(drawn, [np.array(part["exterior"], np.int32)], 1)
    assert (drawn.astype(bool) == bright_half()).all()

    png = answer(client, body(format="png"))["results"][0]["masks"][0]["png"]
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) > 127).tolist() == bright_half().tolist()


def test_a_heatmap_thresholded_is_the_mask(client: TestClient) -> None:
    heat = answer(client, body(heatmap=True))["results"][0]["heatmap"]

    levels = np.asarray(Image.open(io.BytesIO(base64.b64decode(heat["png"]))), np.float32)
    logits = heat["low"] + levels / 255 * (heat["high"] - heat["low"])
    whole = cv2.resize(logits, (60, 40), interpolation=cv2.INTER_LINEAR)
    assert ((whole > 0) != bright_half()).mean() < 0.02


def test_thresholds_and_explanations(client: TestClient) -> None:
    got = answer(client, body(["bright", "cat"], presence_threshold=0.0, threshold=0.75, explain=True))["results"]

    assert [r["threshold"] for r in got] == [0.75, 0.75]
    assert [r["presence_threshold"] for r in got] == [0, 0]
    assert got[0]["explanation"].startswith("bright: presence 0.97")
    assert [r["status"] for r in got] == ["present", "unsure"]  # 0.02 is within 0.1 of the threshold


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ([], 400, "invalid_request"),
        ({"prompts": ["bright"]}, 400, "image_missing"),
        (body([]), 400, "invalid_prompt"),
        (body(["  "]), 400, "invalid_prompt"),
        (body(["a"] * 6), 413, "too_many"),
        (body([{"negatives": ["a"]}]), 400, "invalid_prompt"),
        (body(["a"], nonsense=1), 400, "invalid_request"),
        (body(["a"], format="svg"), 400, "invalid_request"),
        (body(["a"], threshold=2), 400, "invalid_request"),
        (body([{"text": "a", "threshold": -1}]), 400, "invalid_request"),
        (body(["a"], model="other"), 404, "model_not_found"),
        (body(["a"], refine=True), 400, "unsupported_option"),
        ({"image": "no base64!", "prompts": ["a"]}, 400, "image_unreadable"),
        ({"image": text(b"no image"), "prompts": ["a"]}, 400, "image_unreadable"),
        ({"image": "/etc/passwd", "prompts": ["a"]}, 400, "image_unreadable"),
        ({"image": {"field": "image"}, "prompts": ["a"]}, 400, "image_missing"),
        ({"image": {"url": "http://127.0.0.1/a.png"}, "prompts": ["a"]}, 403, "url_refused"),
        ({"image": {"url": "a", "base64": "b"}, "prompts": ["a"]}, 400, "invalid_request"),
        (body([{"visual": {"mask": {"box": [0, 0, 5, 5]}}}]), 400, "unsupported_prompt"),
        ({"image": text(image_bytes(height=400, width=300)), "prompts": ["a"]}, 413, "image_too_large"),
    ],
)
def test_what_is_wrong_is_said(client: TestClient, sent: Any, status: int, code: str) -> None:
    assert error(client, sent, status) == code


def test_bodies_of_other_types_and_sizes_are_refused(client: TestClient) -> None:
    assert error(client, body(), 415, headers={"Content-Type": "text/plain"}) == "unsupported_media_type"
    assert error(client, body(), 415, headers={"Content-Encoding": "gzip"}) == "unsupported_encoding"
    assert error(client, {"image": "A" * 300_000, "prompts": ["a"]}, 413) == "body_too_large"
    for content in (b"{", b"[" * 100_000, b"\xff\xfe", b"null"):
        response = client.post("/v1/segment", content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    form = client.post("/v1/segment", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert (form.status_code, form.json()["error"]["code"]) == (400, "invalid_request")


def test_one_failing_phrase_fails_alone_and_says_why(client: TestClient) -> None:
    assert error(client, body(["bright", "x" * 3000]), 400) == "invalid_prompt"
    assert answer(client, body(["bright"]))["results"][0]["status"] == "present"


def test_facts(client: TestClient) -> None:
    answer(client, body())
    answer(client, body())

    assert client.get("/v1/models").json()["data"] == [
        {
            "id": "brightness", "version": "brightness", "accepts": ["text"], "options": {}, "joint_vocabulary": False,
            "object": "model",
        }
    ]  # fmt: skip
    health = client.get("/v1/health").json()
    assert (health["status"], health["waiting"], health["limit"], health["features"]) == ("ok", 0, 64, 1)
    assert health["memory_bytes"] > 10_000_000
    counted = client.get("/metrics").text
    assert 'wordmask_requests_total{path="/v1/segment",status="200"} 2' in counted
    assert 'wordmask_images_total{features="computed"} 1' in counted
    assert 'wordmask_images_total{features="reused"} 1' in counted
    assert 'wordmask_request_seconds_bucket{le="+Inf"} 2' in counted


def test_openapi_describes_bodies_with_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    post = document["paths"]["/v1/segment"]["post"]
    assert set(post["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert {"200", "400", "401", "413", "503"} <= set(post["responses"])
    schemas = document["components"]["schemas"]
    assert {"SegmentBody", "PromptBody", "SegmentAnswer", "MaskAnswer", "ErrorBody"} <= set(schemas)
    for example in post["requestBody"]["content"]["application/json"]["examples"].values():
        assert set(example["value"]) <= set(schemas["SegmentBody"]["properties"])
    assert json.dumps(document).count("$ref") > 5


def test_options_of_a_model_behind_a_cache_are_known() -> None:
    class Refining(BrightnessSegmenter):
        def segment(self, image: Any, prompts: Any, *, refine: bool = False, **more: Any) -> Any:
            return super().segment(image, prompts, **more)

    class Cached(BrightnessSegmenter):
        segmenter = Refining()

        def segment(self, image: Any, prompts: Any, **more: Any) -> Any:
            return self.segmenter.segment(image, prompts, **more)

    client = TestClient(create_app(Cached()))
    assert client.get("/v1/models").json()["data"][0]["options"] == {"refine": False}
    assert answer(client, body(refine=True))["results"][0]["status"] == "present"


def test_several_models_are_chosen_by_name() -> None:
    other = BrightnessSegmenter()
    other.name = "second"
    client = TestClient(create_app({"first": BrightnessSegmenter(), "second": other}))

    assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["first", "second"]
    assert answer(client, body())["version"] == "brightness"
    assert answer(client, body(model="second"))["version"] == "second"
