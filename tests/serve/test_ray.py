"""The service on a local Ray cluster."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.serve.requests import image_bytes, text

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="Ray is not installed")
pytest.importorskip("ray.serve", reason="Ray Serve is not installed")


@pytest.mark.filterwarnings("ignore")
def test_a_replica_answers() -> None:
    from ray import serve

    from wordmask.serve.ray import deployment

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"port": 8765})
        serve.run(deployment({"compact": "compact"}, device="cpu"), route_prefix="/")
        body = json.dumps({"image": text(image_bytes(height=200, width=300)), "prompts": ["sky"]}).encode()
        request = urllib.request.Request("http://127.0.0.1:8765/v1/segment", body, {"Content-Type": "application/json"})
        until = time.monotonic() + 60
        with urllib.request.urlopen(request, timeout=max(1, until - time.monotonic())) as answer:
            read = json.load(answer)
        assert (read["model"], read["size"]) == ("compact", [200, 300])
        assert read["results"][0]["prompt"] == "sky"
    finally:
        serve.shutdown()
        ray.shutdown()
