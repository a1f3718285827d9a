"""The queue: one encoding for many requests about one image, bounds, cancellation, stop."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes import BrightnessSegmenter
from tests.serve.requests import body, image_bytes, text
from wordmask.serve import ServiceSettings, create_app
from wordmask.serve.batching import Job, Scheduler
from wordmask.serve.failures import ServiceError
from wordmask.serve.features import KeptFeatures, bytes_of
from wordmask.serve.metrics import Metrics
from wordmask.serve.models import ServedModel
from wordmask.serve.prompts import PromptMaker
from wordmask.serve.request import SegmentRequest, read_request


class Gated(BrightnessSegmenter):
    """Encodes when it is let; remembers its calls."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.encoded: list[tuple[int, int]] = []
        self.asked: list[int] = []
        self.broken = ""

    def encode(self, image: Any) -> Any:
        assert self.gate.wait(10)
        encoded = super().encode(image)
        self.encoded.append(encoded.size)
        return encoded

    def segment(self, image: Any, prompts: Any, **more: Any) -> Any:
        if any(prompt.name == self.broken for prompt in prompts):
            raise RuntimeError("broken")
        self.asked.append(len(prompts))
        return super().segment(image, prompts, **more)


def request(prompt: str, content: bytes, settings: ServiceSettings) -> SegmentRequest:
    return read_request({"image": text(content), "prompts": [prompt]}, {}, settings)


class Queue:
    """A scheduler with a gated model."""

    def __init__(self, *, threads: int = 1, **settings: Any) -> None:
        self.settings = ServiceSettings(**settings)
        self.model = Gated()
        self.served = ServedModel("gated", self.model)
        maker = PromptMaker(max_pixels=10_000)
        features = KeptFeatures(self.settings.feature_bytes)
        self.scheduler = Scheduler(self.settings, features, maker, Metrics(), threads=threads)

    def job(self, prompt: str = "bright", *, content: bytes | None = None, seconds: float = 10.0) -> Job:
        made = request(prompt, content or image_bytes(), self.settings)
        job = Job(self.served, made, time.monotonic() + seconds)
        self.scheduler.submit(job)
        return job

    def wait_for_running(self) -> None:
        until = time.monotonic() + 5
        while self.scheduler.running < 1 or self.scheduler.waiting:
            assert time.monotonic() < until
            time.sleep(0.001)


def test_requests_about_one_image_share_an_encoding_and_a_decoding() -> None:
    queue = Queue()
    first = queue.job(content=image_bytes(height=20))
    queue.wait_for_running()
    prompts = ["bright", "dark", "cat", "bright", "dog"]
    jobs = [queue.job(prompt) for prompt in prompts]
    queue.model.gate.set()

    found = [job.future.result(5).founds for job in jobs]
    assert [[one.name for one in founds] for founds in found] == [[prompt] for prompt in prompts]
    assert [founds[0].present for founds in found] == [True, True, False, True, False]
    assert first.future.result(5).size == (20, 60)
    assert queue.model.encoded == [(20, 60), (40, 60)]
    assert queue.model.asked == [1, 5]


def test_requests_that_come_while_their_image_is_encoded_join() -> None:
    queue = Queue(batch_prompts=4)
    queue.model.broken = "bad"
    first = queue.job()
    queue.wait_for_running()
    jobs = [queue.job(prompt) for prompt in ("dark", "cat", "bright", "dog")]
    gone = queue.job("dark", content=image_bytes(height=20))
    queue.scheduler.withdraw(gone)
    queue.model.gate.set()

    assert [job.future.result(5).founds[0].present for job in (first, *jobs)] == [True, True, False, True, False]
    assert queue.model.asked == [4, 1]  # four prompts are the most; the fifth comes next
    assert len(queue.model.encoded) == 1


def test_what_fails_in_company_is_answered_alone() -> None:
    queue = Queue()
    queue.model.broken = "bad"
    jobs = [queue.job(prompt) for prompt in ("bright", "bad", "dark")]
    queue.model.gate.set()

    assert jobs[0].future.result(5).founds[0].present
    assert jobs[2].future.result(5).founds[0].present
    with pytest.raises(RuntimeError, match="broken"):
        jobs[1].future.result(5)


def test_the_queue_is_bounded() -> None:
    queue = Queue(waiting=2)
    queue.job(content=image_bytes(height=20))
    queue.wait_for_running()
    kept = [queue.job() for _ in range(2)]
    with pytest.raises(ServiceError) as caught:
        queue.job()
    assert (caught.value.status, caught.value.code) == (503, "queue_full")
    assert int(caught.value.headers["Retry-After"]) >= 1
    queue.model.gate.set()
    assert all(job.future.result(5).founds for job in kept)


def test_who_has_gone_is_not_computed_for() -> None:
    queue = Queue()
    queue.job(content=image_bytes(height=20))
    queue.wait_for_running()
    gone, late, kept = queue.job("bright"), queue.job("dark", seconds=0.0), queue.job("cat")
    queue.scheduler.withdraw(gone)
    assert queue.scheduler.waiting == 2
    queue.model.gate.set()
    assert not kept.future.result(5).founds[0].present
    assert queue.model.asked == [1, 1]
    assert gone.future.cancelled()
    assert not late.future.done()


def test_a_stop_answers_what_waits_and_refuses_the_rest() -> None:
    queue = Queue()
    jobs = [queue.job(content=image_bytes(height=height)) for height in (20, 30, 40)]
    closing = threading.Thread(target=queue.scheduler.close)
    closing.start()
    queue.model.gate.set()
    closing.join(5)
    assert [job.future.result(0).size[0] for job in jobs] == [20, 30, 40]
    with pytest.raises(ServiceError, match="stopping"):
        queue.job()


def test_features_are_kept_in_bounded_memory() -> None:
    model = BrightnessSegmenter()
    images = [model.encode(image_bytes(seed=seed)) for seed in range(4)]
    size = bytes_of(images[0])
    assert size == 64 * 64 * 4 + 40 * 60 * 3
    kept = KeptFeatures(2 * size)
    for number, encoded in enumerate(images[:2]):
        kept.put(("m", str(number)), encoded)
    assert kept.get(("m", "0")) is images[0]
    kept.put(("m", "2"), images[2])
    assert kept.get(("m", "1")) is None  # unused for longest
    assert kept.get(("other", "0")) is None
    assert (len(kept), kept.bytes) == (2, 2 * size)
    none = KeptFeatures(size - 1)
    none.put(("m", "0"), images[0])
    assert (len(none), none.bytes) == (0, 0)


def test_every_client_gets_its_own_image() -> None:
    client = TestClient(create_app(BrightnessSegmenter(), settings=ServiceSettings(workers=3, feature_bytes=60_000)))
    sizes = [(20 + n % 7, 30 + n % 5) for n in range(60)]

    def ask(size: tuple[int, int]) -> Any:
        content = image_bytes(height=size[0], width=size[1])
        sent = {"image": text(content), "prompts": ["bright"]}
        return client.post("/v1/segment", json=sent).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, sizes))
    assert [tuple(answer["size"]) for answer in answers] == sizes
    for answer, (height, width) in zip(answers, sizes, strict=True):
        expected = BrightnessSegmenter().segment(image_bytes(height=height, width=width), "bright")[0]
        assert answer["results"][0]["masks"][0]["area"] == expected.area


def test_requests_that_take_too_long_are_answered() -> None:
    model = Gated()
    client = TestClient(create_app(model, settings=ServiceSettings(seconds=0.05)))
    response = client.post("/v1/segment", json=body())
    assert (response.status_code, response.json()["error"]["code"]) == (504, "too_slow")
    model.gate.set()
    app: Any = client.app
    assert app.state.service.budget.used == 0


def test_bodies_that_do_not_fit_into_memory_wait_outside() -> None:
    client = TestClient(create_app(BrightnessSegmenter(), settings=ServiceSettings(held_bytes=100)))
    response = client.post("/v1/segment", json=body())
    assert (response.status_code, response.json()["error"]["code"]) == (503, "out_of_memory")
    assert response.headers["retry-after"] == "1"
